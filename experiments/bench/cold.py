"""Runs one function in a fresh process: `python -m experiments.bench.cold module:function < arguments.json`.

The answer is one line of JSON on standard output. `in_process` is the caller's side.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from experiments.bench.columns import Value
from experiments.bench.toolchain import child_environment


def in_process(device: str, function: str, cache: Path, **arguments: Value) -> dict[str, Any]:
    """Calls `module:function` in a process of its own whose compiled kernels are kept in `cache`.

    Returns its JSON answer; RuntimeError with the cause in one line where it fails. The process inherits this
    one's group, so that it ends with the run.
    """
    done = subprocess.run(
        [sys.executable, "-m", "experiments.bench.cold", function],
        input=json.dumps({"device": device, **arguments}),
        capture_output=True,
        text=True,
        env=child_environment(device) | {"CACHEDB": str(cache)},
        check=False,
    )
    if done.returncode:
        cause = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RuntimeError(f"the cold process of {function} failed: {cause[0]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def main() -> None:
    """Imports and calls the function named on the command line with the arguments from standard input."""
    module, _, function = sys.argv[1].partition(":")
    arguments = json.load(sys.stdin)
    answer_to = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever is printed on the way is no answer
    try:
        answer = getattr(importlib.import_module(module), function)(**arguments)
    except Exception as error:  # noqa: BLE001 - the last line that is printed is what the caller shows
        from experiments.bench.probe import one_line

        traceback.print_exc()
        sys.exit(one_line(error))
    answer_to.write(json.dumps(answer) + "\n")
    answer_to.flush()


if __name__ == "__main__":
    main()
