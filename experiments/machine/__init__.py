"""Experiments on the machine itself: can it be trusted, and what is the most it can do."""
