"""Experiments on what the compiler gains."""
