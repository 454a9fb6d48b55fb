"""Experiments on what smaller models buy and cost."""
