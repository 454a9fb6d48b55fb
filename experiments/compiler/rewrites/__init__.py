"""The experiment on algebraic rewrite rules."""
