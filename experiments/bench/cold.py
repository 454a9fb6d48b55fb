"""Runs one function in this fresh process: `python -m experiments.bench.cold module:function < arguments.json`.

The caller gives the process an empty kernel cache; the answer is one line of JSON on standard output.
"""

import importlib
import json
import os
import sys


def main() -> None:
    """Imports and calls the function named on the command line with the arguments from standard input."""
    module, _, function = sys.argv[1].partition(":")
    arguments = json.load(sys.stdin)
    answer_to = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever is printed on the way is no answer
    answer = getattr(importlib.import_module(module), function)(**arguments)
    answer_to.write(json.dumps(answer) + "\n")
    answer_to.flush()


if __name__ == "__main__":
    main()
