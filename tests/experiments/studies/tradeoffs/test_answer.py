import pytest

from experiments.studies.tradeoffs.answer import answer
from tests.experiments.studies.tradeoffs.made_rows import ROWS


@pytest.mark.parametrize(
    ("speedup_lo", "text"),
    [(2.1, "; none is significantly faster; "), (3.0, "; the fastest is jit int8: 4x smaller, ")],
    ids=["not distinguishable", "distinguishable"],
)
def test_the_answer_names_a_fastest_only_where_it_is_clearly_faster_than_the_smallest(speedup_lo, text):
    frame = ROWS.assign(network="mlp", front=True, speedup_hi=2.5)
    frame.loc[frame["variant"] == "jit int8", "speedup_lo"] = speedup_lo
    sentence = answer(frame)
    assert sentence.startswith(
        "On CPU, mlp at batch 1: the smallest within 1 percentage point of the baseline is jit pruned: "
    )
    assert text in sentence
    assert sentence.endswith("6 of 6 variants are on the Pareto front.")
