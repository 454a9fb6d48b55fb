"""The experiment on networks as C programs."""
