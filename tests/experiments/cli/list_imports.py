"""Runs `list`, then prints its exit code and those of the named modules that it imported: run by `test_commands`."""

import sys

from experiments.cli.main import main

if __name__ == "__main__":
    code = main(["list"])
    print(code, *(name for name in sys.argv[1:] if name in sys.modules))
