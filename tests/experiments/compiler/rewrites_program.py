"""Applies every rule to every expression, and runs the rewrites experiment with a rule that is wrong."""

import json

import numpy as np
from tinygrad.uop.ops import PatternMatcher, UPat

from experiments.bench.tinygrad import rewrite_rules
from experiments.bench.tinygrad.runtime import tensor
from experiments.compiler import rewrites
from tests.experiments.compiler.program_tools import measured


def rewritten():
    """For every rule that fires: operations of the rewritten graph, and the error of its result."""
    found = {}
    for name, expression in rewrites.EXPRESSIONS.items():
        arrays = rewrites.sample_arrays(expression, 64)
        inputs = [tensor(array, "CPU") for array in arrays]
        expected = expression.of(*(array.astype(np.float64) for array in arrays))
        for rule in rewrites.RULE_NAMES:
            result = rewrite_rules.rewrite(expression.of(*inputs), [rule])
            if result.fired:
                error = float(np.abs(result.tensor.numpy() - expected).max())
                found[f"{name}: {rule}"] = [rewrite_rules.operations(result.tensor), error]
    return found


def wrong_factor_out():
    a, b, c = UPat.var("a"), UPat.var("b"), UPat.var("c")
    return PatternMatcher([(a * c + b * c, lambda a, b, c: (a - b) * c)])


def wrong_rows():
    rewrite_rules.RULES["factor out"] = wrong_factor_out
    spec = rewrites.RewritesSpec(expressions=["common factor"], rules=["factor out"], elements=64)
    return measured(rewrites.rewrites, spec)


if __name__ == "__main__":
    print(json.dumps({"rewritten": rewritten(), "wrong": wrong_rows()}))
