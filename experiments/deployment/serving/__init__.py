"""A model server under load: arrival processes, a load generator in its own process, and its results."""
