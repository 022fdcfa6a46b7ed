"""One fixed setting for several families: chosen on problems of all of them, and untouched afterwards."""
