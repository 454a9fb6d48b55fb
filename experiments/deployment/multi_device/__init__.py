"""Ways to lay the same work over several devices, and over several processes."""
