"""Parallelism strategies: the same batches on several devices, and in several processes."""
