"""The packed model file and what it is made of."""
