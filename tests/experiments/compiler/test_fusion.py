"""Kernel fusion: a real run of the quick preset, the limits of the spec, the text of the answer."""

import pandas as pd
import pytest

import experiments
from experiments.bench.columns import VERDICTS
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compiler.fusion import ATOL, CHAIN, RTOL, FusionSpec, answer, fusion
from tests.experiments.compiler.program_tools import output_of

VARIANTS = ["fused", "contiguous once", "contiguous every op", "realize every op"]
QUICK = fusion.presets["quick"]


@pytest.fixture(scope="module")
def ran(shared_database):
    rows = experiments.run("fusion", preset="quick", device="CPU", time_limit_s=120)
    return rows, experiments.detail(rows["run_id"].iloc[0], "kernels")


@pytest.fixture
def rows(ran):
    return ran[0]


def test_every_size_has_a_row_per_variant_with_a_verdict(rows):
    assert [tuple(row) for row in rows[["elements", "variant"]].to_numpy()] == [
        (elements, variant) for elements in QUICK.elements for variant in VARIANTS
    ]
    assert set(rows["verdict"]) <= set(VERDICTS) - {"wrong", "failed", "timeout"}
    assert (rows["verdict"] == "baseline").equals(rows["variant"] == "contiguous every op")


def test_a_chain_of_five_steps_moves_exactly_five_times_the_bytes_unfused(rows):
    assert rows.groupby("variant", sort=False)["kernels"].unique().map(list).to_dict() == dict(
        zip(VARIANTS, [[1], [2], [5], [5]], strict=True)
    )
    assert rows["bytes"].tolist() == [8 * n * kernels for n in QUICK.elements for kernels in (1, 2, 5, 5)]
    assert rows["traffic"].tolist() == [1, 2, 5, 5] * len(QUICK.elements)


def test_the_arithmetic_is_the_same_however_the_chain_is_cut(rows):
    assert (rows["ops"] == 6 * rows["elements"]).all()  # ReLU compares and chooses


def test_the_results_are_correct(rows):
    assert (rows["max_abs_error"] < ATOL + 4 * RTOL).all()  # the largest result is near 2


def test_every_variant_has_its_kernels_and_its_reason(ran):
    rows, kernels = ran
    assert rows["bound"].isin(["memory", "compute", "launch"]).all()
    assert kernels.groupby(["elements", "variant"]).size().to_dict() == {
        (row["elements"], row["variant"]): row["kernels"] for _, row in rows.iterrows()
    }


def test_the_answer_of_a_real_run_has_the_memory_traffic_saved(rows):
    assert answer(rows).startswith("On CPU, a chain of 5 steps moves exactly 5x the bytes if every ")
    assert "at 2,097,152 elements" in answer(rows)


def test_the_courses_chain_is_four_steps_at_a_thousand_squared():
    course = fusion.presets["course"]
    assert [step.name for step in CHAIN[: course.steps]] == ["x*2", "+1", "relu", "/3"]
    assert course.elements == [1000 * 1000]


@pytest.fixture(scope="module")
def program():
    return output_of("tests.experiments.compiler.fusion_program")


def test_the_shortest_and_the_longest_unfused_chain_move_their_length_times_the_bytes(program):
    assert program["traffic"] == {str(steps): [1, 2, steps, steps] for steps in (2, len(CHAIN))}


def test_a_chain_with_a_wrong_result_has_the_verdict_wrong_and_no_speedup(program):
    row = program["wrong"][0]
    assert (row["variant"], row["verdict"], row.get("speedup")) == ("fused", "wrong", None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": "1"}, "steps: 1 is not allowed; give an integer from 2 to 8"),
        (
            {"steps": "4", "cut_after": "4"},
            "cut_after: 4 is not allowed; a chain of 4 steps can be cut after step 1 to 3",
        ),
        ({"elements": "0"}, "elements: 0 is not allowed; give integers from 1 to 268435456"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, said):
    with pytest.raises(BadInput) as refused:
        parse(FusionSpec, given)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(said)


def test_the_need_is_that_of_the_longest_vector():
    spec = FusionSpec(elements=[10, 1000])
    assert (spec.need().bytes, spec.need().what) == (
        (80 + 8 * 5) * 1000,
        "a chain of 5 steps over 1,000 numbers, 120 bytes each,",
    )


def answer_of(*verdicts):
    """Fused and unfused rows of sizes 1000, 2000 … with these verdicts."""
    common = {"device": "CPU", "steps": 5, "bound": None}
    made = []
    for number, verdict in enumerate(verdicts, start=1):
        at = {**common, "elements": 1000 * number}
        made.append({**at, "variant": "fused", "verdict": verdict, "traffic": 1.0, "bytes": 8_000 * number})
        made[-1] |= {"speedup": 4.0, "speedup_lo": 3.9, "speedup_hi": 4.1}
        made.append(
            {**at, "variant": "contiguous every op", "verdict": "baseline", "traffic": 5.0, "bytes": 40_000 * number}
        )
    return answer(pd.DataFrame(made))


@pytest.mark.parametrize(
    ("verdicts", "ends"),
    [
        (["faster", "faster"], "Fusing is faster at every measured size, from 1,000 elements on."),
        (
            ["cannot tell", "faster", "faster"],
            "Fusing is faster from 2,000 elements on; at 1,000 the verdict is inconclusive.",
        ),
        (["faster", "slower", "faster"], "Fusing is faster from 3,000 elements on; at 2,000 the verdict is slower."),
        (["faster", "cannot tell"], "Fusing is not significantly faster at the largest size."),
    ],
)
def test_the_answer_names_the_size_from_which_fusion_is_faster(verdicts, ends):
    assert answer_of(*verdicts).endswith(ends)


def test_the_answer_gives_bytes_and_time():
    assert answer_of("faster").startswith(
        "On CPU, a chain of 5 steps moves exactly 5x the bytes if every step writes its result to memory (0.04 MB "
        "instead of 0.008 MB at 1,000 elements). At this size one fused kernel makes the chain 4x faster (95% CI 3.9 "
        "to 4.1). "
    )
