"""The experiment on the smallest file that restores a network."""
