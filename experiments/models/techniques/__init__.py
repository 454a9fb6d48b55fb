"""Techniques: a model in, a smaller or faster model out."""
