"""Random scenes and files, from seeds, against oracles that share no code with what they test."""
