import pytest

from experiments.compiler.beam.optimizations import DESCRIPTIONS, in_words


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        ("", "none"),
        ("UPCAST(0,4)", "4 neighbours of axis 0 at once in registers"),
        ("UNROLL(0,0)", "all steps of sum 0 written out"),
        ("TC(0,(-1, 2, 1)) LOCAL(1,2)", "tensor cores; work groups of 2 along axis 1"),
        ("SWAP(1,0) NOLOCALS(None,None)", "axes 1 and 0 exchanged; no work groups"),
        ("NEWER(3,7)", "newer 3 7"),
    ],
)
def test_optimisations_are_said_in_words(opts, words):
    assert in_words(opts) == words


def test_every_optimisation_of_this_tinygrad_has_words():
    from tinygrad.codegen.opt import OptOps

    assert {one.name for one in OptOps} == set(DESCRIPTIONS)
