"""Random scenes and damaged files, held against oracles that share no code with what is tested."""
