"""The logger of the library: `logging.getLogger("taichisoft")` says what it chose, and what took long.

Silent unless a program asks: ``logging.basicConfig(level=logging.INFO)`` tells the backend, ``DEBUG`` each
kernel that was compiled or read from the cache.
"""

import logging

logger = logging.getLogger("taichisoft")
