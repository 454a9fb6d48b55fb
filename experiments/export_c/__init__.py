"""A captured network as one self-contained C program: sources, builds for other targets, and the zip with both."""
