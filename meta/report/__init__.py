"""A run as one page that needs nothing else: ``python -m meta.report --help``."""
