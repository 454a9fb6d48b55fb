"""Experiments on what the compiler buys."""
