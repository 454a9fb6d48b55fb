"""The experiment on changing shapes."""
