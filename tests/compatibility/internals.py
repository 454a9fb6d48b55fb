"""All that these tests need of the project's inside, imported here alone: a module that moves is followed here.

What version 0.1 documented is not here: the tests import that under its documented name. What they rely on is that

- `python -m experiments` is the command line, and `experiments.frame` and `experiments.detail` read stored runs;
- `streamlit_app.py` is the app, and a page has the address that it had;
- the bundles that are carried lie in `EXAMPLES`.
"""

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from dashboard import services  # the page's engine and runner; `_runner(url)` starts what executes runs
from experiments.__main__ import main as command_line  # main(arguments) -> exit code; argparse's own end it
from experiments.bench.columns import label_of  # stored value -> the name under which a page shows it
from experiments.bench.machine import devices  # devices.probe(device), devices.forget_probes()
from experiments.bench.machine.toolchain import cache_folder  # below XDG_CACHE_HOME
from experiments.bench.spec import parse  # parse(spec class, mapping) -> spec, else BadInput
from experiments.export_c.spec import ExportSpec  # what `export-c` takes
from experiments.export_c.steps import steps as export_steps  # steps(choice, device, progress)
from experiments.models.builder import build_model  # build_model(recipe) -> BuiltModel
from experiments.models.data.mnist import mnist
from experiments.models.recipe import from_json as recipe_of  # text -> Recipe
from experiments.models.sequential.network import NETWORKS  # name -> function of sizes
from experiments.models.techniques.teacher_logits import cached_teacher_logits  # (teacher, split, shift, device)
from experiments.models.training import checkpoints  # .cached_file(network, settings), .load_checkpoint(...)
from experiments.models.training.settings import Settings
from experiments.registry import forget as forget_experiments  # after TINYLAB_EXPERIMENTS has changed
from experiments.registry import registered  # name -> Experiment
from experiments.runs import store  # .engine(url), .database_url(), .get_run(db, run_id), .read_artifacts(db, run_id)
from experiments.runs.frames import to_csv  # the text that a download has

__all__ = [
    "APP",
    "EXAMPLES",
    "NETWORKS",
    "ExportSpec",
    "Settings",
    "build_model",
    "cache_folder",
    "cached_teacher_logits",
    "checkpoints",
    "command_line",
    "export_steps",
    "field_of",
    "files_of",
    "forget_experiments",
    "label_of",
    "measure_nothing",
    "mnist",
    "open_page",
    "parse",
    "recipe_of",
    "registered",
    "run_of",
    "to_csv",
]

ROOT = Path(__file__).parents[2]
APP = ROOT / "streamlit_app.py"
EXAMPLES = ROOT / "experiments" / "examples"


def files_of(run_id: str) -> dict[str, bytes]:
    """The files of a stored run by name."""
    return store.read_artifacts(store.engine(store.database_url()), run_id)


def run_of(run_id: str) -> dict[str, Any]:
    """What is stored of a run itself: experiment, spec, state, times, machine, title."""
    found = store.get_run(store.engine(store.database_url()), run_id)
    assert found is not None
    return dict(found)


def field_of(key: str, experiment: str) -> str:
    """The field of the spec whose widget on the experiment's page has this key: `experiment:field:number`."""
    return key.removeprefix(f"{experiment}:").rpartition(":")[0]


def measure_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app starts no runner, so that a queued run stays queued, and every device is taken to work."""
    monkeypatch.setattr(services, "_runner", store.engine)
    monkeypatch.setattr(devices, "probe", lambda device: devices.Probe(device, True, "taken to work"))
    monkeypatch.setattr(devices, "DRIVER_TRACES", {})
    devices.forget_probes()
    st.cache_resource.clear()


def open_page(address: str, parameters: dict[str, Any]) -> AppTest:
    """The app as a browser gets it at `/address?parameters`."""
    page = AppTest.from_file(APP, default_timeout=60)
    page._page_hash = calc_hash(address)  # what the browser sends; AppTest itself can only switch to pages in files
    for name, text in parameters.items():
        page.query_params[name] = text
    return page.run()
