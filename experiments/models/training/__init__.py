"""Training: settings, data feeding, the trainer, checkpoints."""
