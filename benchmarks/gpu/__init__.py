"""What a machine with a GPU shows, in one command of a few minutes: `python -m benchmarks.gpu`."""
