"""Experiments on the machine itself: how reliable its timings are, and its peak rates."""
