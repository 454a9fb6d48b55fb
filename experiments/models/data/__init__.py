"""Data sets: labeled splits as numpy arrays."""
