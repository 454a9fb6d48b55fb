import ast
import re
from importlib.metadata import version
from pathlib import Path

from experiments.bench.tinygrad import VERSION

ROOT = Path(__file__).parents[4]
ADAPTERS = ROOT / "experiments" / "bench" / "tinygrad"
MODULES = [path for package in ("experiments", "dashboard") for path in sorted((ROOT / package).rglob("*.py"))]


def imported(text):
    """The modules that a module's text imports, at any level."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
    return found


def private(text):
    """The imported modules of tinygrad but for `tinygrad` and `tinygrad.nn`."""
    ours = {name for name in imported(text) if name.split(".")[0] == "tinygrad"}
    return {name for name in ours if name != "tinygrad" and not re.match(r"tinygrad\.nn(\.|$)", name)}


def test_private_modules_are_found_in_any_kind_of_import():
    assert private("def f():\n    from tinygrad.codegen.opt import Opt") == {"tinygrad.codegen.opt"}
    assert private("import tinygrad.engine.jit as jit") == {"tinygrad.engine.jit"}
    assert private("from tinygrad import Tensor\nfrom tinygrad.nn.optim import Adam\nimport tinygrad") == set()


def test_only_the_adapters_import_private_modules_of_tinygrad():
    others = {path: private(path.read_text()) for path in MODULES if not path.is_relative_to(ADAPTERS)}
    assert {path: names for path, names in others.items() if names} == {}
    assert any(private(path.read_text()) for path in ADAPTERS.glob("*.py"))


def test_the_adapters_are_written_for_the_version_that_is_pinned_and_installed():
    pinned = re.search(r"^tinygrad==(\S+)", (ROOT / "requirements-cli.txt").read_text(), re.MULTILINE)
    assert pinned[1] == version("tinygrad") == VERSION
