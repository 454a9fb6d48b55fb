"""A captured network as one self-contained C program: source, zip, and builds for several targets."""
