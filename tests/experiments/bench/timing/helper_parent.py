"""A process with a helper that computes without end: killed by test_helper_process."""

from experiments.bench.timing.helper_process import HelperProcess

process = HelperProcess("CPU", "tests.experiments.bench.timing.helpers:pid_then_sleep")
process.wait_until_ready()
process.request()
print("computing", flush=True)
input()
