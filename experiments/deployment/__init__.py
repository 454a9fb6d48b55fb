"""Experiments on running models for others."""
