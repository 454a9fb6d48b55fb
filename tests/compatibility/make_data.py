"""Makes the data that version 0.1 left behind, by running version 0.1 itself. Not run by the tests.

    git worktree add --detach /tmp/version-0.1 b1cf10a
    python tests/compatibility/make_data.py /tmp/version-0.1

takes about five minutes and replaces everything in `tests/compatibility/data`. Every byte there was written by the code
of commit b1cf10a (version 0.1.0), on its CPU device; times and therefore run ids differ each time it is done. This
script only chooses small parameters, starts commands, ends processes and packs the results:

- `runs.db.gz`: an SQLite database with done runs of several experiments (one with a title, a note and tags, one with
  model files), a failed one (a damaged checkpoint in its cache), two cancelled ones (waiting, running), one at its time
  limit, a crashed one (its child process was killed with SIGKILL), a lost one (its runner was killed with SIGKILL, then
  the reaper was called as if a minute had passed), an imported one, and a queued one. All are of a host called `desk`.
- `frames.json.gz`: rows, details and samples of each run, as the CSV text that version 0.1 made of them.
- `runs.json`: what each run is, and the hashes of its files.
- `run.zip`: one of these runs as a bundle.
- `cache.zip`, `cache.json`: kept files of trainings, and what each stands for: `checkpoints/` (a network trained for
  one epoch), `models/` (recipes, with the float32 models that they start from), `teachers/` (a table for few images; a
  whole one has 10 MB) and `edge/` (a pruned network with batch normalization). `code` in the JSON is the hash of all
  modules in `experiments/models/*.py` at b1cf10a, which is a part of the keys in `models/` and `edge/`.
- `experiments.json`: names, presets, columns and details of every experiment.
- `own/`: the experiment of one's own that the README of version 0.1 shows, and its figure.
- `links.json`, `commands.json`: links and command lines, each of which the tests open; they passed on b1cf10a.

Bundles of every experiment but none of its own are in `experiments/examples`, measured with version 0.1 too.
"""

import dataclasses
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from weights_digest import weights_digest

COMMIT = "b1cf10a"
DATA = Path(__file__).parent / "data"
STAMP = (2026, 1, 1, 0, 0, 0)  # of the files in the zip

SMALL = "budget_s=0.1"
JIT = ["batch=16,64", "widths=64,32,16,10", "calls=5", SMALL]
DONE: dict[str, list[str]] = {
    "jit": ["jit", *JIT],
    "jit-again": ["jit", *JIT],
    "fusion": ["fusion", "elements=4096,65536", SMALL],
    "memory": ["memory", "rows=256", "columns=256", "patterns=copy,row_sum,transpose", SMALL],
    "jit_traps": ["jit_traps", "--preset", "quick"],
    "control": ["control", "comparisons=12", "budget_s=0.05"],
    "quantization": ["quantization", "scheme=static,weight_only", "batch=1", SMALL],
    "tradeoffs": ["tradeoffs", "hidden=16", "pruning=none,unstructured 0.5", "tune_steps=0", SMALL],
    "sensitivity": ["sensitivity", "network=mlp", "bits=8,3", "images=500", SMALL],
}
LONG = ["jit", "batch=" + ",".join(str(2**power) for power in range(11)), "widths=64,32,16,10", "calls=3", "budget_s=3"]
IMPORTED = "memory-cpu-3ae005a8fc5a.zip"
RECIPES = {
    "float": {},
    "static-8": {"quant": ("static", 8, 8)},
    "pruned": {"sparsity": 0.5},
    "pruned-weight-only-4": {"sparsity": 0.5, "quant": ("weight_only", 4)},
    "distilled": {"distilled": True},
}
HIDDEN = 8
TEACHER_IMAGES, TEACHER_SHIFT = 500, 0

FORMS: dict[str, dict[str, str]] = {
    "beam": {"device": "CPU"},
    "fusion": {"steps": "4", "elements": "1000000"},
    "jit": {"model": "tiny_layers", "batch": "8,64", "calls": "5", "budget_s": "0.5"},
    "jit_traps": {"traps": "constant,branch", "size": "128"},
    "memory": {"rows": "1024", "columns": "1000,1008", "patterns": "copy,transpose"},
    "rewrites": {"half_width": "0.05"},
    "shapes": {"budget_s": "1.5"},
    "distillation": {"teacher": "784-300-100-10", "student": "784-64-10", "form": "squared"},
    "pruning": {"network": "lenet_300_100", "method": "magnitude,random", "sparsity": "0.5,0.9"},
    "quantization": {"network": "cnn", "scheme": "static,weight_only", "weight_bits": "8,4", "batch": "32"},
    "record": {"network": "lenet_5", "sparsity": "0.9", "seeds": "0,1"},
    "sensitivity": {"network": "mlp", "bits": "8,3,2", "images": "1000"},
    "tradeoffs": {"network": "cnn", "pruning": "none,structured 0.5", "quantization": "none,static 8", "seeds": "0,1"},
    "edge": {"network": "cnn_normed", "width": "0.5", "weight_bits": "4", "targets": "x86_64,wasm32"},
    "multi_device": {"budget_s": "2.0"},
    "serving": {"network": "mlp", "max_batch": "1,16", "max_wait_ms": "0.0,1.0", "plain": "false"},
    "ceilings": {"budget_s": "0.5"},
    "control": {"comparisons": "50"},
}

# What is refused last, and therefore shows that everything else on the line was understood, without a measurement.
NO_DEVICE, NO_FOLDER = "device=?", "no-such-folder/file"
REFUSED = [
    ["run", "jit", "--preset", "exercise", NO_DEVICE],
    ["run", "jit", "model=tiny_layers", "batch=8,64", "--csv", "out.csv", NO_DEVICE],
    ["run", "jit", "--preset", "quick", "--time-limit", "60", "--no-store", NO_DEVICE],
    ["run", "--no-store", "jit", "batch=16", "--csv", "-", NO_DEVICE],
    ["run", "quantization", "network=cnn", "train=true", "scheme=static", "weight_bits=8,4", NO_DEVICE],
    ["run", "tradeoffs", "hidden=64", "pruning=none,structured 0.5 unstructured 0.7", "distilled=no,yes", NO_DEVICE],
    ["run", "pruning", "--preset", "lenet_long", "sparsity=0.95", "method=magnitude", "seeds=5", NO_DEVICE],
    ["run", "record", "--preset", "lenet_5", NO_DEVICE],
    ["run", "edge", "network=cnn_normed", "width=0.5", "fine_tune_steps=0", "targets=wasm32", NO_DEVICE],
    ["run", "serving", "max_batch=1,32", "arrival=closed,open", "rate_per_s=100.0", NO_DEVICE],
    ["export-c", "network=mlp", "weight_bits=8", "-o", NO_FOLDER],
    ["export-c", "-o", NO_FOLDER, "network=cnn_normed", "fold=false", "weight_bits=32", "activation_bits=32"],
    ["export-c", "width=0.5", "sparsity=0.9", "distilled=true", "seed=1", "--output", NO_FOLDER],
    ["serve", "--network", "mlp", "--device", "?"],
    ["serve", "--model", "model.tinylab", "--port", "0", "--device", "?"],
    ["serve", "--recipe", "recipe.json", "--host", "127.0.0.1", "--access-log", "--device", "?"],
    ["serve", "--max-batch", "32", "--max-wait-ms", "0", "--queue", "512", "--deadline-ms", "500", "--path", "plain",
     "--engine", "module:function", "--device", "?"],
    ["scheduler", "--address", "tcp://0.0.0.0:8786"],
    ["worker", "--scheduler", "tcp://192.0.2.1:8786", "--name", "gpu-box", "--devices", "CPU,CUDA"],
    ["worker", "--scheduler", "tls://192.0.2.1:8786", "--tls-ca", "a", "--tls-cert", "b"],
    ["cancel", "000000000000"],
]  # fmt: skip
DONE_COMMANDS = [
    ["list"],
    ["show", "jit"],
    ["runs"],
    ["runs", "--limit", "3", "--experiment", "jit", "--device", "CPU", "--host", "desk", "--status", "done"],
    ["runs", "--text", "first", "--csv", "-"],
    ["runs", "--experiment", "jit", "--csv", "rows.csv", "--samples", "samples.csv"],
    ["export", "{jit}", "-o", "run.zip"],
    ["export", "{jit}", "{fusion}", "--output", "."],
    ["import", "{bundle}", "--most-mb", "16"],
    ["cancel", "{queued}"],
]


def main(checkout: Path) -> None:
    """Replaces the data with what the code in `checkout` makes."""
    checkout = checkout.resolve()
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=checkout, text=True)  # noqa: S607
    if not head.startswith(COMMIT):
        raise SystemExit(f"{checkout} is at {head[:7]}, not at {COMMIT}")
    with tempfile.TemporaryDirectory(prefix="tinylab-data-") as name:
        folder = Path(name)
        _enter(checkout, folder)
        DATA.mkdir(exist_ok=True)
        _write_json("experiments.json", _declared())
        _own_experiment(checkout)
        cache = _cache(folder)
        ids = _runs(folder)
        _write_json("links.json", _links(ids))
        _write_json("commands.json", {"done": DONE_COMMANDS, "refused": REFUSED})
        _write_json("cache.json", cache)


def _enter(checkout: Path, folder: Path) -> None:
    """From here on `experiments` is the package of the checkout, and everything is kept in `folder`."""
    os.chdir(checkout)
    sys.path.insert(0, str(checkout))
    os.environ.update(
        TINYLAB_DATABASE=f"sqlite:///{folder / 'runs.db'}",
        TINYLAB_HOST="desk",
        TMPDIR=str(folder),
        XDG_CACHE_HOME=str(folder / "cache-of-runs"),
        XDG_DATA_HOME=str(folder / "data"),
    )
    tempfile.tempdir = str(folder)


def _write_json(name: str, value: Any) -> None:
    """One line for each entry."""
    lines = [f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items()]
    (DATA / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


# runs


def _runs(folder: Path) -> dict[str, str]:
    ids = {name: _run(*arguments) for name, arguments in DONE.items()}
    ids["failed"] = _failed()
    ids["timeout"] = _run(*LONG, "--time-limit", "10", code=3)
    ids["cancelled"] = _interrupted(lambda run_id, _: _command("cancel", run_id))
    ids["crashed"] = _interrupted(lambda _, runner: os.kill(_child_of(runner), signal.SIGKILL))
    ids["lost"] = _interrupted(lambda _, runner: runner.kill())
    from experiments.runs import jobs, store

    store.reap(_db(), time.time() + 60)
    ids["imported"] = _command("import", f"experiments/examples/{IMPORTED}").strip()
    from experiments.registry import find

    quick = find("jit").preset("quick")
    ids["cancelled-waiting"] = jobs.submit("jit", quick)
    _command("cancel", ids["cancelled-waiting"])
    ids["queued"] = jobs.submit("jit", quick, owner="ada", time_limit_s=60)
    store.describe(_db(), ids["jit"], "The first run", "A note\nof two lines: ½ < 1", "first, paper")
    _command("export", ids["fusion"], "-o", str(DATA / "run.zip"))
    _write_runs(ids)
    _write_database(folder / "runs.db")
    return ids


def _db() -> Any:
    from experiments.runs import store

    return store.engine(store.database_url())


def _command(*arguments: str, code: int = 0) -> str:
    print(*arguments, flush=True)
    done = subprocess.run(_words(*arguments), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != code:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}")
    return done.stdout


def _words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "experiments", *arguments]


def _run(*arguments: str, code: int = 0) -> str:
    return _command("run", *arguments, "device=CPU", code=code).strip().splitlines()[-1]


def _failed() -> str:
    """A run that finds a damaged checkpoint."""
    from experiments.models.checkpoints import cached
    from experiments.models.networks import NETWORKS
    from experiments.models.settings import default_settings

    file = cached(NETWORKS["mlp"](), dataclasses.replace(default_settings("mlp"), seed=1))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"damaged")
    run_id = _run("edge", "seed=1", "targets=wasm32", "calls=500", SMALL, code=1)
    file.unlink()
    return run_id


def _interrupted(end: Callable[[str, subprocess.Popen[str]], Any]) -> str:
    """A run to which `end` was done as soon as it had rows."""
    words = _words("run", *LONG, "device=CPU")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as runner:
        run_id = _running_with_rows()
        end(run_id, runner)
        runner.communicate()
    return run_id


def _running_with_rows() -> str:
    from experiments.runs import store

    while True:
        for run in store.list_runs(_db(), status=store.RUNNING):
            if store.read_rows(_db(), run["id"]):
                return str(run["id"])
        time.sleep(0.2)


def _child_of(runner: subprocess.Popen[str]) -> int:
    import psutil

    [child] = psutil.Process(runner.pid).children()
    return int(child.pid)


def _write_runs(ids: dict[str, str]) -> None:
    from experiments.registry import find
    from experiments.runs import frames, store

    texts, described = {}, {}
    for name, run_id in ids.items():
        run = store.get_run(_db(), run_id)
        assert run is not None
        experiment = find(run["experiment"])
        rows = frames.rows_frame(_db(), run, experiment)
        details = {one: frames.detail_frame(_db(), run, experiment, one) for one in experiment.details}
        texts[run_id] = {
            "rows": frames.to_csv(rows),
            "samples": frames.to_csv(frames.samples_frame(_db(), run)),
            "details": {one: frames.to_csv(frame) for one, frame in details.items()},
        }
        files = store.read_artifacts(_db(), run_id)
        described[name] = {
            **{key: value for key, value in run.items() if key not in ("heartbeat", "runner")},
            "rows": len(rows),
            "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        }
        print(f"{name:<18} {run['status']:<10} {len(rows):>4} rows  {run['message']}")
    _write_json("runs.json", described)
    (DATA / "frames.json.gz").write_bytes(gzip.compress(json.dumps(texts).encode(), mtime=0))


def _write_database(file: Path) -> None:
    """As one file without a write-ahead log."""
    _db().dispose()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("VACUUM")
    (DATA / "runs.db.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))


# the cache


def _cache(folder: Path) -> dict[str, Any]:
    """Trains what is small into a cache of its own, in a process that has a compiler as every run has."""
    from experiments.bench.toolchain import child_environment

    environment = child_environment("CPU") | {"XDG_CACHE_HOME": str(folder / "cache")}
    words = [sys.executable, str(Path(__file__).resolve()), "--cache", str(folder / "cache.json")]
    environment["PYTHONPATH"] = os.getcwd()  # noqa: PTH109 - the checkout
    subprocess.run(words, env=environment, check=True)
    kept = folder / "cache" / "tinygrad-lab"
    with zipfile.ZipFile(DATA / "cache.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(kept.glob("*/*.safetensors")):
            info = zipfile.ZipInfo(str(file.relative_to(kept)), STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read_bytes())
    found: dict[str, Any] = json.loads((folder / "cache.json").read_text())
    shutil.rmtree(kept)
    return found


def _fill_cache(output: Path) -> None:
    """Trains, in this process; writes what each cached file stands for."""
    from experiments.models import making

    found = {
        "commit": COMMIT,
        "code": making.code(),
        "checkpoint": _checkpoint(),
        "models": _models(),
        "teacher": _teacher_logits(),
        "edge": _edge_steps(),
    }
    output.write_text(json.dumps(found))


def _cache_name(file: Path) -> str:
    """The name of a cached file, relative to the cache's folder."""
    from experiments.bench.toolchain import cache_folder

    return str(file.relative_to(cache_folder()))


def _only_file(folder: str) -> Path:
    from experiments.bench.toolchain import cache_folder

    [file] = (cache_folder() / folder).glob("*.safetensors")
    return file


def _checkpoint() -> dict[str, Any]:
    """A small network, trained for one epoch."""
    from experiments.models.networks import NETWORKS
    from experiments.models.settings import Settings

    from experiments.models import checkpoints

    network, settings = NETWORKS["mlp"](hidden=HIDDEN), Settings(epochs=1, seed=3)
    trained = checkpoints.load(network, settings)
    return {
        "file": _cache_name(checkpoints.cached(network, settings)),
        "network": "mlp",
        "sizes": {"hidden": HIDDEN},
        "settings": dataclasses.asdict(settings),
        "test_accuracy": trained.test_accuracy,
        "weights_sha256": weights_digest(trained.weights),
    }


def _models() -> dict[str, Any]:
    """The model of each recipe, by its label."""
    from experiments.models.quantizing import QuantSpec
    from experiments.models.recipes import Recipe

    from experiments.models import making

    models = {}
    for label, given in RECIPES.items():
        chosen = {"quant": QuantSpec("float32"), **given}
        if isinstance(chosen["quant"], tuple):
            chosen["quant"] = QuantSpec(*chosen["quant"])
        recipe = Recipe("mlp", sizes=(("hidden", HIDDEN),), **chosen)
        made = making.make(recipe)
        models[label] = {
            "file": _cache_name(making.path_of(recipe)),
            "recipe": recipe.json(),
            "test_accuracy": float(made.right.mean()),
            "validation_accuracy": made.validation_accuracy,
            "packed_sha256": hashlib.sha256(made.file).hexdigest(),
            "weights_sha256": weights_digest(made.restored.real_weights()),
        }
        print(label, models[label]["test_accuracy"], flush=True)
    return models


def _teacher_logits() -> dict[str, Any]:
    """A teacher's logits for the first training images."""
    from experiments.models.datasets import mnist
    from experiments.models.networks import NETWORKS

    from experiments.models import checkpoints, teaching

    teacher = checkpoints.load(NETWORKS["lenet_300_100"]())
    table = teaching.table_of(teacher, mnist().train.first(TEACHER_IMAGES), TEACHER_SHIFT, "CPU")
    return {
        "file": _cache_name(_only_file("teachers")),
        "network": "lenet_300_100",
        "images": TEACHER_IMAGES,
        "shift": TEACHER_SHIFT,
        "table_sha256": weights_digest({"table": table}),
    }


def _edge_steps() -> dict[str, Any]:
    """A pruned network with batch normalization, as the C export caches it."""
    from experiments.deployment.export import model
    from experiments.deployment.export.choice import ChoiceSpec

    choice = ChoiceSpec(network="cnn_normed", width=0.25, fine_tune_steps=0, device="CPU")
    steps = model.steps(choice, "CPU", lambda fraction, message: None)
    return {
        "file": _cache_name(_only_file("edge")),
        "choice": choice.model_dump(mode="json"),
        "accuracies": {step.name: step.accuracy for step in steps},
        "weights_sha256": weights_digest(next(step for step in steps if step.name == "prune").weights),
    }


# declarations and links


def _own_experiment(checkout: Path) -> None:
    """Two files out of the README, as a reader copies them."""
    (DATA / "own").mkdir(exist_ok=True)
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    for name, code in re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", readme, re.DOTALL):
        (DATA / "own" / f"{name}.txt").write_text(code, encoding="utf-8")


def _declared() -> dict[str, Any]:
    from experiments.registry import registered

    def columns(declared: Any) -> list[list[str]]:
        return [[one.name, one.kind, one.unit] for one in declared]

    return {
        one.name: {
            "section": one.section,
            "defaults": one.spec().model_dump(mode="json"),
            "presets": {name: preset.model_dump(mode="json") for name, preset in one.presets.items()},
            "grid": list(one.grid),
            "summary": list(one.summary),
            "columns": columns(one.columns),
            "details": {name: columns(declared) for name, declared in one.details.items()},
        }
        for one in registered().values()
    }


def _links(ids: dict[str, str]) -> dict[str, Any]:
    """Pages by the last part of their address, with their parameters."""
    from dashboard.links import preset_query
    from experiments.registry import registered
    from experiments.runs import store

    runs = {
        name: [str(run["experiment"]), {"run": run_id}]
        for name, run_id in ids.items()
        if (run := store.get_run(_db(), run_id)) is not None
    }
    two = f"{ids['jit']},{ids['jit-again']}"
    return {
        "runs": runs,
        "forms": FORMS,
        "presets": {
            one.name: {preset: preset_query(one, preset) for preset in one.presets} for one in registered().values()
        },
        "comparisons": [
            {"runs": two, "x": "batch", "y": "latency_ms"},
            {"runs": two, "x": "variant", "y": "speedup"},
            {"runs": f"{ids['memory']},{ids['imported']}", "x": "rows", "y": "gb_s"},
            {"runs": f"{ids['jit']},{ids['tradeoffs']}", "x": "variant", "y": "latency_ms"},
        ],
    }


if __name__ == "__main__":
    if sys.argv[1] == "--cache":
        _fill_cache(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
