"""Networks that are a sequence of layers."""
