import json
import subprocess
import sys
import tempfile
import typing

import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.machine.toolchain import child_environment
from experiments.bench.spec import parse
from experiments.compiler.jit_traps.experiment import JitTrapsSpec, answer, jit_traps
from experiments.compiler.jit_traps.pitfalls import PITFALLS, PitfallName

# PitfallOutcome on tinygrad 0.14.0: (expected, observed) of each trap that is told in values.
VALUES = {
    "output_buffer": ("2*1 = 2 kept from x=1", "6"),
    "constant": ("2*3 = 6 at a=3", "4"),
    "branch": ("5-1 = 4 at up=False", "6"),
    "shared_method": ("1*10 = 10 from the second instance", "2"),
    "vector_length": ("2*[1, 2, 3] = [2, 4, 6] after [1, 2]", "[2, 4]"),
    "nested_captured": ("2*5+1 = 11 at x=5", "3"),
}
ERRORS = {
    "shape_mismatch": "JitError: args mismatch in JIT: ",
    "duplicate_inputs": "JitError: duplicate inputs to JIT",
    "nested": "RuntimeError: having TinyJit inside another TinyJit is not supported",
    "item_inside": "JitError: cannot access tensor data during JIT capture",
}
CLOCKS = ["unrealised_inputs", "empty_loop", "unsynchronised"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The quick preset, really run once; by trap."""
    folder = tmp_path_factory.mktemp("jit_traps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYLAB_DATABASE", f"sqlite:///{folder / 'runs.db'}")
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        return experiments.run("jit_traps", preset="quick", device="CPU", time_limit_s=120).set_index("variant")


def test_every_trap_has_a_row_in_the_order_asked_for(rows):
    assert list(rows.index) == list(PITFALLS) == [*VALUES, *ERRORS, *CLOCKS]
    assert rows["kind"].tolist() == ["silent"] * 6 + ["error"] * 4 + ["timing"] * 3


@pytest.mark.parametrize("name", VALUES)
def test_a_silent_trap_gives_a_wrong_value_and_its_mend_the_right_one(rows, name):
    row = rows.loc[name]
    assert (row["expected"], row["observed"]) == VALUES[name]
    assert f" = {row['mended']} " in row["expected"]


@pytest.mark.parametrize("name", ERRORS)
def test_a_loud_trap_raises_and_its_mend_gives_the_value(rows, name):
    row = rows.loc[name]
    assert row["observed"].startswith(ERRORS[name])
    assert len(row["observed"]) <= 120
    assert f" = {row['mended']} " in row["expected"]


def test_lazy_inputs_are_drawn_inside_the_clock(rows):
    row = rows.loc["unrealised_inputs"]
    assert row["observed"].startswith("3 kernels, ")
    assert row["mended"].startswith("1 kernel, ")


def test_a_loop_over_a_realised_tensor_runs_nothing(rows):
    row = rows.loc["empty_loop"]
    assert row["expected"] == "5 kernels in 5 rounds"
    assert row["observed"].startswith("0 kernels, ")
    assert row["mended"].startswith("5 kernels, ")


def test_without_a_wait_the_cpu_is_safe_because_it_computes_inside_the_call(rows):
    assert rows.index[rows["safe"]].tolist() == ["unsynchronised"]


def test_every_mend_gives_what_was_expected(rows):
    assert rows["verdict"].isna().all()


def test_only_the_traps_on_the_clock_have_times(rows):
    for column in ("claimed_ms", "true_ms"):
        assert rows.index[rows[column].notna()].tolist() == CLOCKS
    assert (rows.loc[CLOCKS, ["claimed_ms", "true_ms"]] > 0).all(axis=None)


def test_the_answer_of_a_real_run_counts_what_bites(rows):
    said = answer(rows.reset_index())
    assert said.startswith("On CPU 12 of 13 traps bite: 6 are silent (output buffer, constant, branch, ")
    assert said.endswith("; unsynchronised does no harm here; every mend gives what was expected.")


CHILD = """
import json, sys
from experiments.bench.session import Bench
from experiments.compiler.jit_traps.experiment import JitTrapsSpec, jit_traps
from experiments.compiler.jit_traps.pitfalls import PitfallOutcome, clocks, values

def breaks(device):
    raise OSError("no such device\\nat all")

if sys.argv[1] == "patched":
    values.CHECKS["constant"] = lambda device: PitfallOutcome("6", "4", "5", safe=False, right=False)
    values.CHECKS["branch"] = breaks
    values.CHECKS["nested"] = lambda device: PitfallOutcome("3", "3", "3", safe=True, right=True)
spec = JitTrapsSpec(traps=sys.argv[2].split(","))
print(json.dumps([row.values for row in jit_traps.run(spec, Bench("CPU", lambda event: None))]))
"""


def in_a_child(how, *names):
    command = [sys.executable, "-c", CHILD, how, ",".join(names)]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return {row["variant"]: row for row in json.loads(done.stdout)}


def test_no_trap_spoils_another(rows):
    backwards = in_a_child("as is", *reversed([*VALUES, *ERRORS]))
    assert list(backwards) == [*reversed([*VALUES, *ERRORS])]
    for name, row in backwards.items():
        assert (row["observed"], row["mended"]) == (rows.loc[name, "observed"], rows.loc[name, "mended"])


@pytest.fixture(scope="module")
def patched():
    return in_a_child("patched", "constant", "branch", "nested", "duplicate_inputs")


def test_a_mend_that_does_not_help_is_wrong(patched):
    assert (patched["constant"]["verdict"], patched["constant"]["mended"]) == ("wrong", "5")


def test_a_trap_that_cannot_be_tried_fails_alone_and_says_why(patched):
    assert (patched["branch"]["verdict"], patched["branch"]["observed"]) == ("failed", "OSError: no such device")
    assert patched["branch"].get("safe") is None
    assert patched["duplicate_inputs"]["observed"] == "JitError: duplicate inputs to JIT"


def test_a_trap_that_does_not_show_keeps_its_row_and_is_safe(patched):
    assert (patched["nested"]["safe"], patched["nested"]["verdict"]) == (True, None)


def test_the_rows_keep_to_the_declared_columns(patched):
    declared = {column.name for column in jit_traps.columns} | {"variant"}
    assert all(set(row) <= declared for row in patched.values())


def test_every_trap_can_be_chosen_and_says_how_it_is_mended_and_who_told_it():
    assert list(typing.get_args(PitfallName)) == list(PITFALLS)
    assert all(told.trap and told.mend and told.source for told in PITFALLS.values())


def test_traps_are_chosen_as_text():
    assert parse(JitTrapsSpec, {"traps": "nested, branch"}).traps == ["nested", "branch"]


@pytest.mark.parametrize(
    ("given", "field"), [({"traps": "nest"}, "traps"), ({"traps": ""}, "traps"), ({"size": 1}, "size")]
)
def test_what_is_out_of_bounds_is_refused(given, field):
    with pytest.raises(BadInput, match=f"^{field}: "):
        parse(JitTrapsSpec, given)


def test_the_need_grows_with_the_matrices():
    need = JitTrapsSpec(size=1000).need()
    assert (need.bytes, need.what) == (64_000_000, "matrices of 1000x1000 and their reference")


def said(*rows):
    columns = ["variant", "kind", "safe", "verdict"]
    return answer(pd.DataFrame(rows, columns=columns).assign(device="CPU").astype({"safe": "boolean"}))


def test_the_answer_names_what_bites_by_kind():
    assert said(("branch", "silent", False, None), ("empty_loop", "timing", False, None)) == (
        "On CPU 2 of 2 traps bite: 1 is silent (branch), 1 falsifies a time (empty loop); "
        "every mend gives what was expected."
    )


def test_the_answer_where_nothing_bites():
    assert said(("nested", "error", True, None), ("branch", "silent", True, None)) == (
        "On CPU 0 of 2 traps bite; nested, branch do no harm here; every mend gives what was expected."
    )


def test_the_answer_warns_of_a_mend_that_does_not_help():
    assert said(("nested", "error", False, "wrong"), ("branch", "silent", False, None)) == (
        "On CPU 2 of 2 traps bite: 1 is silent (branch), 1 raises (nested). The mend does not help against nested."
    )


def test_a_trap_that_failed_is_not_counted():
    assert said(("nested", "error", None, "failed"), ("branch", "silent", False, None)).startswith("On CPU 1 of 1 ")
    assert said(("nested", "error", None, "failed")) == ""
