"""Every touch of the private API of tinygrad 0.14.0. No other room imports it."""
