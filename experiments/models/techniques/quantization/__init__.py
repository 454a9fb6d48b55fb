"""Post-training quantization, computed in numpy and in tinygrad."""
