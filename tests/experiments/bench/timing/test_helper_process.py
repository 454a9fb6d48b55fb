import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from experiments.bench.timing.helper_process import HelperFailed, HelperProcess, run_in_process

HELPERS = "tests.experiments.bench.timing.helpers"


def test_a_helper_answers_several_requests_and_keeps_its_state():
    process = HelperProcess("CPU", f"{HELPERS}:counter", start=10)
    process.wait_until_ready()
    process.request(1)
    assert process.response() == 11
    assert process.ask_and_close(5) == 16


def test_a_helper_with_wrong_arguments_fails_in_one_line():
    with pytest.raises(HelperFailed, match=r"^the helper process of .*:counter failed: TypeError: .*'start'$"):
        run_in_process("CPU", f"{HELPERS}:counter")


def test_a_request_that_fails_names_its_cause():
    process = HelperProcess("CPU", f"{HELPERS}:counter", start=10)
    process.wait_until_ready()
    process.request("text")
    with pytest.raises(HelperFailed) as failed:
        process.response()
    assert failed.value.cause.startswith("TypeError: ")


def test_a_helper_beyond_its_time_limit_is_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYLAB_PID_FILE", str(tmp_path / "pid"))
    process = HelperProcess("CPU", f"{HELPERS}:pid_then_sleep")
    process.wait_until_ready(60)
    process.request()
    with pytest.raises(HelperFailed, match=r"no answer within 0.1 s"):
        process.response(0.1)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends a helper with its parent on Linux only")
def test_a_helper_ends_with_its_parent_also_while_it_computes(tmp_path):
    environment = os.environ | {"TINYLAB_PID_FILE": str(tmp_path / "pid")}
    root = Path(__file__).parents[4]
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.experiments.bench.timing.helper_parent"],
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout.readline() == b"computing\n"
    parent.kill()
    parent.communicate()
    helper = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 20
    while psutil.pid_exists(helper) and psutil.Process(helper).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
