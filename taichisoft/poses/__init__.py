"""The pose of a known mesh, from masks."""
