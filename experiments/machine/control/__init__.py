"""How often this machine reports a difference where there is none, and finds one where there is."""
