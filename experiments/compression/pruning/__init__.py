"""The experiment on pruning."""
