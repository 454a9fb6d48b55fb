"""Runs: submission, isolated execution, storage, bundles and comparison."""
