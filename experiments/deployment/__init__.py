"""Experiments on deploying models."""
