"""The words of the code base: standard terms, US spelling, and no name for two things."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [path for package in ("dashboard", "experiments") for path in sorted((ROOT / package).rglob("*.py"))]
PROSE = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "dashboard/pages/method.md")]

STORED = {  # in old rows
    *("cannot tell", "mend", "mended", "trap", "mixture", "greedy mixture", "best mixture", "quantise"),
    *("unrealised_inputs", "unsynchronised"),
}

INSTEAD = {  # not the field's word: what to write instead
    r"mend(s|ed|ing)?": "fix",
    r"carr(y|ies|ied|ying) (it |them )?out": "run, execute",
    r"rightly": "correctly",
    r"thinned": "pruned",
    r"told apart|can be told|be told from": "distinguishable, significant",
    r"(?<!`)cannot tell(?!`)": "inconclusive (only stored values keep `cannot tell`)",
    r"without a word": "silently",
    r"stranger(s)?": "untrusted, unauthorized",
    r"nobody('s)?|somebody('s)?": "no user, another process",
    r"farewell|thrift(y|ier)": "say what the code does",
    r"goes farthest": "highest sustainable rate",
    r"take[ns]? away": "prune, remove",
    r"twin(s)?": "reference",
    r"(in|on|with|of) its own words": "say what the code does",
    r"(quant|optim|normal|real|serial|synchron|recogn|organ)is(e|es|ed|ing|ation)": "US spelling",
    r"(colo|neighbo|behavio|favo)ur\w*|label(led|ling)": "US spelling",
    r"carried (by the project|checkpoints?|examples?|networks?|runs?|files?|models?)": "bundled",
    r"mixture(s)?": "mixed-precision assignment",
    r"lesson(s)?": "training set",
    r"licence(s)?": "US spelling",
    r"off loopback": "on a non-loopback address",
    r"of (its|their) own": "own, separate",
    r"\d+ (?-i:KB)": "kB",
    r"is no (JSON|CSV|integer|number|boolean|text|zip)": "is not valid, is not a",
    r"\d %(?![a-zA-Z({])": "95%, without a space",
    r"[A-Z]\w+Error where": "raises ... if",
}
BANNED = {re.compile(rf"(?<!\w)({words})(?!\w)", re.IGNORECASE): instead for words, instead in INSTEAD.items()}


def texts(path: Path) -> list[tuple[int, str]]:
    """(line, text) of every string and comment of a Python file, or of every line of prose."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return list(enumerate(source.splitlines(), 1))
    strings = [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in STORED
    ]
    comments = [(n, line.partition("# ")[2]) for n, line in enumerate(source.splitlines(), 1) if "# " in line]
    return strings + comments


@pytest.mark.parametrize("path", [*SOURCES, *PROSE], ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_use_the_standard_terms(path):
    found = {
        f"{path.name}:{line} {match[0]!r}: write {instead}"
        for line, text in texts(path)
        for pattern, instead in BANNED.items()
        for match in pattern.finditer(text)
    }
    assert not found


def test_a_class_name_means_one_thing():
    names = Counter(
        node.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == set()


def test_functions_fit_a_screen():
    long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno > 60
    }
    assert long == set()
