"""The experiment on memory access patterns."""
