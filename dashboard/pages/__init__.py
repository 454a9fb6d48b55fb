"""Thin page scripts; experiments share one template."""
