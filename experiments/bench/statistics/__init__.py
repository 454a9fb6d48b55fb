"""Intervals, Pareto fronts and effects: pure statistics, no device and no clock."""
