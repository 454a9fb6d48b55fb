"""What all experiments stand on: specs, measuring, statistics, devices, the compiler."""
