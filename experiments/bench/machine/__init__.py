"""The machine that measures: devices, compiler, environment fingerprint, ceilings."""
