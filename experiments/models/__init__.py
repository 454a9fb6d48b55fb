"""Networks, data and techniques, free of experiments."""
