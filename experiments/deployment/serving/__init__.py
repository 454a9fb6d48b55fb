"""Load on a server: when requests arrive, a generator in a process of its own, and what its records say."""
