"""The base of all experiments: specs, measuring, statistics, devices, the compiler."""
