"""The trade-off study: every combination of the compression techniques and executions."""
