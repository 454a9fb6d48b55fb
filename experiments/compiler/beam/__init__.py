"""The experiment on BEAM search."""
