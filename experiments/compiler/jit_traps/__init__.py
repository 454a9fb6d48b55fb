"""The experiment on the pitfalls of TinyJit."""
