"""`python -m experiments`: the command line."""

import sys

from experiments.cli.main import interrupt_on_termination, main

if __name__ == "__main__":
    interrupt_on_termination()
    sys.exit(main())
