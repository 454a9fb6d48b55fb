"""One revision per schema."""
