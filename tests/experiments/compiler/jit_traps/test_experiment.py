import typing

import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compiler.jit_traps.experiment import JitTrapsSpec, answer, jit_traps
from experiments.compiler.jit_traps.pitfalls import PITFALLS, PitfallName
from tests.experiments.compiler.program_tools import output_of

# tinygrad 0.14.0: (expected, observed) of each pitfall with a wrong value.
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
TIMING = ["unrealised_inputs", "empty_loop", "unsynchronised"]


@pytest.fixture(scope="module")
def rows(shared_database):
    """A real run of the quick preset, by pitfall."""
    return experiments.run("jit_traps", preset="quick", device="CPU", time_limit_s=120).set_index("variant")


def test_every_pitfall_has_a_row_in_the_given_order(rows):
    assert list(rows.index) == list(PITFALLS) == [*VALUES, *ERRORS, *TIMING]
    assert rows["kind"].tolist() == ["silent"] * 6 + ["error"] * 4 + ["timing"] * 3


@pytest.mark.parametrize("name", VALUES)
def test_a_silent_pitfall_gives_a_wrong_value_and_its_fix_the_correct_one(rows, name):
    row = rows.loc[name]
    assert (row["expected"], row["observed"]) == VALUES[name]
    assert f" = {row['mended']} " in row["expected"]


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_pitfall_raises_and_its_fix_gives_the_value(rows, name):
    row = rows.loc[name]
    assert row["observed"].startswith(ERRORS[name])
    assert len(row["observed"]) <= 120
    assert f" = {row['mended']} " in row["expected"]


def test_generating_lazy_inputs_is_timed_too(rows):
    row = rows.loc["unrealised_inputs"]
    assert row["observed"].startswith("3 kernels, ")
    assert row["mended"].startswith("1 kernel, ")


def test_a_loop_over_a_realized_tensor_runs_nothing(rows):
    row = rows.loc["empty_loop"]
    assert row["expected"] == "5 kernels in 5 rounds"
    assert row["observed"].startswith("0 kernels, ")
    assert row["mended"].startswith("5 kernels, ")


def test_the_cpu_is_safe_without_synchronizing_because_it_computes_inside_the_call(rows):
    assert rows.index[rows["safe"]].tolist() == ["unsynchronised"]


def test_every_fix_gives_the_expected_result(rows):
    assert rows["verdict"].isna().all()


def test_only_timing_pitfalls_have_times(rows):
    for column in ("claimed_ms", "true_ms"):
        assert rows.index[rows[column].notna()].tolist() == TIMING
    assert (rows.loc[TIMING, ["claimed_ms", "true_ms"]] > 0).all(axis=None)


def test_the_answer_of_a_real_run_counts_the_pitfalls_that_occur(rows):
    text = answer(rows.reset_index())
    assert text.startswith("On CPU, 12 of 13 pitfalls occur: 6 fail silently (output buffer, constant, ")
    assert text.endswith("; unsynchronized is safe here; every fix gives the expected result.")


def rows_of_program(how, *names):
    rows = output_of("tests.experiments.compiler.jit_traps.program", how, *names)
    return {row["variant"]: row for row in rows}


def test_pitfalls_do_not_affect_one_another(rows):
    backwards = rows_of_program("unchanged", *reversed([*VALUES, *ERRORS]))
    assert list(backwards) == [*reversed([*VALUES, *ERRORS])]
    for name, row in backwards.items():
        assert (row["observed"], row["mended"]) == (rows.loc[name, "observed"], rows.loc[name, "mended"])


@pytest.fixture(scope="module")
def patched():
    return rows_of_program("patched", "constant", "branch", "nested", "duplicate_inputs")


def test_a_fix_that_does_not_work_is_wrong(patched):
    assert (patched["constant"]["verdict"], patched["constant"]["mended"]) == ("wrong", "5")


def test_a_pitfall_that_raises_unexpectedly_fails_alone_with_its_cause(patched):
    assert (patched["branch"]["verdict"], patched["branch"]["observed"]) == ("failed", "OSError: no such device")
    assert patched["branch"].get("safe") is None
    assert patched["duplicate_inputs"]["observed"] == "JitError: duplicate inputs to JIT"


def test_a_pitfall_that_does_not_occur_has_a_row_and_is_safe(patched):
    assert (patched["nested"]["safe"], patched["nested"]["verdict"]) == (True, None)


def test_rows_have_only_declared_columns(patched):
    declared = {column.name for column in jit_traps.columns} | {"variant"}
    assert all(set(row) <= declared for row in patched.values())


def test_every_pitfall_can_be_chosen_and_has_a_fix_and_a_source():
    assert list(typing.get_args(PitfallName)) == list(PITFALLS)
    assert all(pitfall.mistake and pitfall.fix and pitfall.source for pitfall in PITFALLS.values())


def test_pitfalls_can_be_given_as_text():
    assert parse(JitTrapsSpec, {"traps": "nested, branch"}).traps == ["nested", "branch"]


@pytest.mark.parametrize(
    ("given", "field"), [({"traps": "nest"}, "traps"), ({"traps": ""}, "traps"), ({"size": 1}, "size")]
)
def test_out_of_bounds_values_are_rejected(given, field):
    with pytest.raises(BadInput, match=f"^{field}: "):
        parse(JitTrapsSpec, given)


def test_the_need_grows_with_the_matrices():
    need = JitTrapsSpec(size=1000).need()
    assert (need.bytes, need.what) == (64_000_000, "matrices of 1000x1000 and their reference")


def answer_of(*rows):
    columns = ["variant", "kind", "safe", "verdict"]
    return answer(pd.DataFrame(rows, columns=columns).assign(device="CPU").astype({"safe": "boolean"}))


def test_the_answer_names_the_pitfalls_that_occur_by_kind():
    assert answer_of(("branch", "silent", False, None), ("empty_loop", "timing", False, None)) == (
        "On CPU, 2 of 2 pitfalls occur: 1 fails silently (branch), 1 gives a wrong time (empty loop); "
        "every fix gives the expected result."
    )


def test_the_answer_where_no_pitfall_occurs():
    assert answer_of(("nested", "error", True, None), ("branch", "silent", True, None)) == (
        "On CPU, 0 of 2 pitfalls occur; nested, branch are safe here; every fix gives the expected result."
    )


def test_the_answer_names_a_fix_that_does_not_work():
    assert answer_of(("nested", "error", False, "wrong"), ("branch", "silent", False, None)) == (
        "On CPU, 2 of 2 pitfalls occur: 1 fails silently (branch), 1 raises (nested). The fix does not work for nested."
    )


def test_a_pitfall_that_failed_is_not_counted():
    assert answer_of(("nested", "error", None, "failed"), ("branch", "silent", False, None)).startswith(
        "On CPU, 1 of 1 "
    )
    assert answer_of(("nested", "error", None, "failed")) == ""
