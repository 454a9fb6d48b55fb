"""Experiments on what smaller models gain and cost."""
