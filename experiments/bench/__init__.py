"""What all experiments are built on: specs, measuring, statistics, devices, the compiler."""
