"""Useful bytes, gathered indices and explanations of the access patterns."""

import pytest

from experiments.compiler.memory.access_patterns import GATHER_STRIDE, PATTERNS, STRIDE

SHAPE = (36, 50)


@pytest.mark.parametrize("name", PATTERNS)
def test_useful_bytes_are_those_of_the_input_read_and_of_the_result(name):
    pattern = PATTERNS[name]
    arrays = pattern.sample(SHAPE)
    result = 4 * pattern.reference(*arrays).size
    read = {"gather_sequential": 2 * result, "gather_random": 2 * result}.get(name, sum(one.nbytes for one in arrays))
    if name.startswith("strided"):
        read = result
    assert pattern.useful_bytes(SHAPE) == read + result


def test_a_random_gather_has_other_indices_than_a_sequential_one():
    indices = {name: PATTERNS[name].sample(SHAPE)[1] for name in ("gather_sequential", "gather_random")}
    assert indices["gather_sequential"].tolist() == list(range(36 * 50 // GATHER_STRIDE))
    assert len(set(indices["gather_random"])) == 36 * 50 // GATHER_STRIDE
    assert max(indices["gather_random"]) > 36 * 50 // 2


def test_the_reason_states_the_distance():
    assert "4,096 bytes apart" in PATTERNS["column_sum"].reason((8, 1024))
    assert f"one element every {4 * STRIDE} bytes" in PATTERNS["strided_columns"].reason((8, 1024))


def test_a_gpu_has_other_reasons_where_work_items_read_together():
    assert "work items" not in PATTERNS["row_sum"].reason((8, 1024))
    assert "work items that sum one row each read addresses 4,096 bytes apart" in PATTERNS["row_sum"].reason(
        (8, 1024), gpu=True
    )
    assert PATTERNS["flip"].reason((8, 1024), gpu=True) == PATTERNS["flip"].reason((8, 1024))
