"""How calls and kernels are timed: paired and interleaved, or cold in a fresh process."""
