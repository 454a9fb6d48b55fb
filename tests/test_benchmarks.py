"""Each program in `tests/benchmarks` runs once in small: it starts, ends and prints its figures."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HELPERS = {"__init__", "sizes", "target"}
ARGUMENTS = {
    "bundle_examples": ["here", "a test", "CPU", "{folder}", "control:quick"],
    "false_alarms": ["CPU", "{folder}/false-alarms.jsonl"],
    "training": ["mlp"],
    "twins": ["CPU", "{folder}/twins.jsonl"],
}
IN_A_BROWSER = {"compiler_presets", "pictures", "sharing", "tradeoffs"}
PROGRAMS = sorted(path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py") if path.stem not in HELPERS)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_benchmark_runs_in_small(program, tmp_path, tmp_path_factory):
    if program in IN_A_BROWSER and not shutil.which("chromium"):
        pytest.skip("no Chromium")
    arguments = [one.format(folder=tmp_path) for one in ARGUMENTS.get(program, [])]
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{program}", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "TINYLAB_SMALL": "1",
            "TINYLAB_LOCKS": str(tmp_path / "locks"),
            "TMPDIR": str(tmp_path_factory.mktemp("t")),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() or program == "pictures"
