"""What ``taichisoft demo`` makes: one file for each picture, and how they are drawn."""
