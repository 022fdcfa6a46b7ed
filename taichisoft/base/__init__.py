"""What every room may use: checks of arguments, precision, memory, files, and the backend with Taichi behind it."""
