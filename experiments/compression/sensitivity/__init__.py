"""The experiment on per-layer sensitivity and mixed precision."""
