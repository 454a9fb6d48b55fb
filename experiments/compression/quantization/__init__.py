"""The experiment on quantization."""
