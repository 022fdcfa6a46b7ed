"""The command line ``taichisoft``: one file for each command, and what several of them need."""
