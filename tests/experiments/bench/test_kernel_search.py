"""One real search; searches that hang, fail or end early are provoked."""

import json
import subprocess
import sys

import psutil
import pytest

from experiments.bench.kernel_search import Candidate, Optimization, read, search
from experiments.bench.machine.toolchain import child_environment

FUNCTIONS = "tests.experiments.bench.searched_functions"


@pytest.fixture(scope="module")
def found():
    """A search that ends by itself."""
    return search("CPU", f"{FUNCTIONS}:row_sum", Optimization(1), 60, n=64)


def test_a_finished_search_has_its_duration_and_its_candidates(found):
    assert found.ended == "done"
    assert 0 < found.seconds < found.first_call_s
    times = [one.at_s for one in found.candidates]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < found.first_call_s


def test_it_chose_one_of_its_candidates_for_its_only_kernel(found):
    (kernel,) = found.chosen
    assert {one.kernel for one in found.candidates} == {kernel}
    assert found.chosen[kernel] in {one.opts for one in found.candidates}


def test_a_first_call_without_a_search_tries_nothing():
    plain = search("CPU", f"{FUNCTIONS}:row_sum", Optimization(), 60, n=64)
    assert (plain.ended, plain.candidates, plain.chosen, plain.seconds) == ("done", (), {}, 0)
    assert plain.first_call_s > 0


def test_another_process_applies_exactly_the_chosen_optimizations(found):
    unlike = Candidate(found.candidates[0].kernel, 0, (("UPCAST", 0, 2), ("THREAD", 0, 2)), None)
    command = [
        sys.executable,
        "-m",
        "tests.experiments.bench.applied_kernels",
        json.dumps([unlike.kernel, unlike.opts]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=child_environment("CPU"))
    (noopt, heuristic, not_come_to, chosen) = json.loads(done.stdout)
    assert chosen == [unlike.text, True]
    assert noopt == ["", True]
    assert heuristic == not_come_to
    assert heuristic[0] not in ("", unlike.text)


def test_a_search_that_hangs_is_ended_at_its_budget_with_all_that_it_started():
    before = set(psutil.Process().children(recursive=True))
    looked = []
    hung = search("CPU", f"{FUNCTIONS}:hangs_at_the_third_candidate", Optimization(1), 6, looked.append, n=64)
    assert (hung.ended, hung.first_call_s, len(hung.candidates)) == ("timeout", None, 2)
    assert 6 <= hung.seconds < 12
    assert looked in ([1, 2], [2])  # told once each, if both were seen
    best = min(hung.candidates, key=lambda one: one.seconds)
    assert hung.chosen == {best.kernel: best.opts}
    assert {one for one in psutil.Process().children(recursive=True) if one.is_running()} <= before


def test_a_process_that_fails_is_a_failed_search_with_its_cause():
    failed = search("CPU", f"{FUNCTIONS}:raises", Optimization(1), 60, n=64)
    assert (failed.ended, failed.candidates) == ("failed", ())
    assert failed.cause.endswith("MemoryError: no room")


def line(kernel, **said):
    return json.dumps({"kernel": kernel, **said}) + "\n"


A, B = [["UPCAST", 0, 4]], [["TC", 0, [-1, 2, 1]]]


@pytest.mark.parametrize(
    ("lines", "chosen", "searched_s"),
    [
        ([], {}, 0),
        ([line("k", at_s=1, opts=A, seconds=2e-3), line("k", at_s=2, opts=B, seconds=1e-3)], {"k": B}, 0),
        ([line("k", at_s=1, opts=A, seconds=None)], {}, 0),
        ([line("k", at_s=1, opts=A, seconds=1e-3), line("k", opts=B, searched_s=1.5)], {"k": B}, 1.5),
        ([line("k", opts=A, searched_s=1.5), line("l", at_s=2, opts=B, seconds=1e-3)], {"k": A, "l": B}, 1.5),
        ([line("k", at_s=1, opts=A, seconds=2e-3), line("k", at_s=2, opts=B, seconds=1e-3)[:-9]], {"k": A}, 0),
    ],
)
def test_a_trace_tells_what_was_chosen_or_is_best_so_far(tmp_path, lines, chosen, searched_s):
    trace = tmp_path / "trace.jsonl"
    trace.write_text("".join(lines))
    _, seen, seconds = read(trace)
    assert json.loads(json.dumps(seen)) == chosen
    assert seconds == searched_s


def test_a_search_that_wrote_nothing_has_no_candidates(tmp_path):
    assert read(tmp_path / "none.jsonl") == ((), {}, 0)


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (Optimization(optimized=False), "noopt"),
        (Optimization(), "heuristic"),
        (Optimization(4), "beam=4"),
    ],
)
def test_a_variant_has_a_name(variant, name):
    assert variant.name == name
