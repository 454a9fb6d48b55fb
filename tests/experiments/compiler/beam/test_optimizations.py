import pytest

from experiments.compiler.beam.optimizations import DESCRIPTIONS, in_words


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        ("", "none"),
        ("UPCAST(0,4)", "4 neighbors of axis 0 at once in registers"),
        ("UNROLL(0,0)", "all steps of sum 0 unrolled"),
        ("TC(0,(-1, 2, 1)) LOCAL(1,2)", "tensor cores; work groups of 2 along axis 1"),
        ("SWAP(1,0) NOLOCALS(None,None)", "axes 1 and 0 swapped; no work groups"),
        ("NEWER(3,7)", "newer 3 7"),
    ],
)
def test_optimizations_are_described_in_words(opts, words):
    assert in_words(opts) == words


def test_every_optimization_of_this_tinygrad_has_a_description():
    from tinygrad.codegen.opt import OptOps

    assert {one.name for one in OptOps} == set(DESCRIPTIONS)
