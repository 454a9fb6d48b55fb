"""Graph rewrites: a real run of the quick preset and of all rules, the text of the answer."""

import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compiler.rewrites import EXPRESSIONS, RULE_NAMES, RewritesSpec, answer, rewrites
from tests.experiments.compiler.program_tools import output_of


@pytest.fixture(scope="module")
def ran(shared_database):
    rows = experiments.run("rewrites", preset="quick", device="CPU", time_limit_s=120)
    run_id = rows["run_id"].iloc[0]
    return rows, {name: experiments.detail(run_id, name) for name in ("nodes", "edges", "rules", "kernels")}


@pytest.fixture
def rows(ran):
    return ran[0]


def at(rows, expression, variant):
    (row,) = rows[(rows["expression"] == expression) & (rows["variant"] == variant)].to_dict("records")
    return row


def counts(row):
    return [row[name] for name in ("fired", "ops_before", "ops_after", "kernel_ops_before", "kernel_ops_after")]


def test_a_fold_shortens_the_graph_and_not_the_kernel_because_tinygrad_folds_it_itself(rows):
    row = at(rows, "scaled twice", "fold products")
    assert counts(row) == [1, 2, 1, 1, 1]
    assert row["already"]


def test_factoring_shortens_the_kernel_too_because_tinygrad_does_not_apply_it(rows):
    row = at(rows, "common factor", "factor out")
    assert counts(row) == [1, 3, 2, 3, 2]
    assert not row["already"]


def test_a_rule_that_does_not_fire_changes_nothing_and_has_nothing_to_time(rows):
    row = at(rows, "common factor", "fold products")
    assert counts(row) == [0, 3, 3, 3, 3]
    assert pd.isna(row["already"])
    assert pd.isna(row["latency_ms"])
    assert pd.isna(row["verdict"])


def test_where_several_rules_fire_they_are_also_applied_together(rows):
    assert rows.loc[rows["variant"] == "all rules", "expression"].tolist() == ["negated twice"]


def test_what_is_timed_is_correct_and_compared_with_the_expression_as_written(rows):
    timed = rows[rows["latency_ms"].notna()]
    assert (timed["max_abs_error"] < 1e-5).all()
    assert set(timed["verdict"]) <= {"baseline", "faster", "slower", "cannot tell"}
    assert (timed["verdict"] == "baseline").equals(timed["variant"] == "as written")
    assert timed["bound"].notna().all()


def test_the_graphs_before_and_after_are_stored(ran):
    nodes, edges = (ran[1][name] for name in ("nodes", "edges"))
    before = nodes[(nodes["expression"] == "scaled twice") & (nodes["variant"] == "as written")]
    after = nodes[(nodes["expression"] == "scaled twice") & (nodes["variant"] == "fold products")]
    assert sorted(before["label"]) == ["2", "3", "x", "×", "×"]
    assert sorted(after["label"]) == ["6", "x", "×"]
    assert before.loc[before["label"] == "×", "layer"].tolist() == [1, 2]
    drawn = edges[(edges["expression"] == "scaled twice") & (edges["variant"] == "as written")]
    assert len(drawn) == 4


def test_every_rule_is_stored_with_its_source(ran):
    sources = ran[1]["rules"].set_index("variant")["source"]
    assert set(sources.index) == set(rewrites.presets["quick"].rules)
    assert sources["fold products"].startswith("def fold_products() -> PatternMatcher:")
    assert "UPat.cvar" in sources["fold products"]


def test_the_answer_of_a_real_run_names_the_rewrites_that_tinygrad_makes_itself(rows):
    said = answer(rows)
    assert said.startswith("On CPU, 3 rules made 4 rewrites of 3 expressions; 3 of them do not change the kernel: ")
    assert (
        "tinygrad does not factor out by itself: the rule reduces x*z + y*z from 3 to 2 operations per element" in said
    )


@pytest.fixture(scope="module")
def program():
    return output_of("tests.experiments.compiler.rewrites_program")


def test_every_rule_fires_where_it_should_and_preserves_the_value(program):
    found = program["rewritten"]
    assert {name: ops for name, (ops, _) in found.items()} == {
        "scaled twice: fold products": 1,
        "shifted twice: fold sums": 2,
        "common factor: factor out": 2,
        "times one: drop times one": 1,
        "plus zero: drop plus zero": 1,
        "negated twice: fold products": 2,
        "negated twice: drop double negation": 1,
        "times eight: shift": 2,
        "mixture: fold products": 6,
        "mixture: factor out": 8,
        "mixture: drop times one": 8,
        "mixture: drop plus zero": 8,
        "mixture: drop double negation": 7,
    }
    assert all(error < 1e-5 for _, error in found.values())


def test_a_rule_that_changes_the_result_has_the_verdict_wrong_and_no_speedup(program):
    rows = [(row["variant"], row["verdict"], row.get("speedup")) for row in program["wrong"]]
    assert rows == [("as written", "baseline", None), ("factor out", "wrong", None)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rules": "fold everything"}, "rules: fold everything is not allowed; give any of fold products, fold sums"),
        ({"expressions": "x/0"}, "expressions: x/0 is not allowed; give any of scaled twice, "),
        ({"elements": "0"}, "elements: 0 is not allowed; give an integer from 1 to 67108864"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, said):
    with pytest.raises(BadInput) as refused:
        parse(RewritesSpec, given)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(said)


def test_all_expressions_and_rules_are_the_default():
    assert RewritesSpec().expressions == list(EXPRESSIONS)
    assert RewritesSpec().rules == list(RULE_NAMES)


def test_the_need_grows_with_arrays_and_rules():
    one, all_rules = RewritesSpec(rules=["shift"], elements=10), RewritesSpec(elements=10)
    assert one.need().bytes < all_rules.need().bytes
    assert one.need().what == f"arrays, results, reference of 10 numbers, {one.need().bytes // 10} bytes each,"


def row(**changes):
    return {
        "device": "CPU",
        "expression": "common factor",
        "written": "x*z + y*z",
        "variant": "factor out",
        "fired": 1,
        "already": False,
        "kernel_ops_before": 3,
        "kernel_ops_after": 2,
        "verdict": "faster",
        "speedup": 1.5,
        "speedup_lo": 1.4,
        "speedup_hi": 1.6,
        "bound": None,
    } | changes


def test_the_answer_names_the_rule_once_and_each_expression_it_shortens():
    frame = pd.DataFrame([row(), row(expression="mixture", written="mixed", kernel_ops_before=4, kernel_ops_after=3)])
    assert answer(frame) == (
        "On CPU, 1 rule made 2 rewrites of 2 expressions. tinygrad does not factor out by itself: the rule reduces x*z "
        "+ y*z from 3 to 2 operations per element and makes it 1.5x faster (95% CI 1.4 to 1.6), and mixed from 4 to 3 "
        "operations per element."
    )


def test_the_answer_names_the_case_in_which_tinygrad_applies_all_rules():
    assert answer(pd.DataFrame([row(already=True)])) == (
        "On CPU, 1 rule made 1 rewrite of 1 expression; 1 of them does not change the kernel: tinygrad compiles the "
        "same code without the rule."
    )


def test_rules_that_did_not_fire_and_all_together_are_no_answer():
    assert answer(pd.DataFrame([row(fired=0), row(variant="all rules")])) == ""
