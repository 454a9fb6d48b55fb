"""The experiment on knowledge distillation."""
