"""The bundled files match their stated measurements, and only better ones replace them."""

import json
import shutil
import zipfile

import pytest

from experiments.compression.record.promote_best import BUNDLED, GOALS, RECORDS_FILE, measure, promote

pytestmark = pytest.mark.slow

RECORDS = json.loads(RECORDS_FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("stated", RECORDS, ids=[one["network"] for one in RECORDS])
def test_a_bundled_file_restores_the_model_that_is_stated(stated):
    content = (BUNDLED / f"{stated['network']}.tinylab").read_bytes()
    found = measure(content)
    assert len(content) == stated["size_bytes"]
    accuracies = {name: stated[name] for name in ("accuracy", "validation_accuracy")}
    # rounding of matrix products differs between machines and may change a prediction or two
    assert {name: found[name] for name in accuracies} == pytest.approx(accuracies, abs=3e-4)
    rest = stated.keys() - accuracies.keys()
    assert {name: found[name] for name in rest} == {name: stated[name] for name in rest}


def test_the_bundled_files_reach_their_goals():
    named = {one["network"]: one for one in RECORDS}
    assert named.keys() <= GOALS.keys()
    assert {path.stem for path in BUNDLED.glob("*.tinylab")} == named.keys()
    record = named["lenet_300_100"]
    assert record["compression"] >= 150
    assert min(record["accuracy"], record["validation_accuracy"]) >= 1 - GOALS["lenet_300_100"]


def test_the_smallest_file_of_a_run_that_meets_the_goal_is_promoted(tmp_path):
    folder, name = tmp_path / "smallest", "lenet_300_100.tinylab"
    content = (BUNDLED / name).read_bytes()
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as bundle:
        bundle.writestr("run.json", "{}")
        bundle.writestr("artifacts/abc", content)
        bundle.writestr("artifacts/def", content[:-1])
    [kept] = promote([tmp_path / "run.zip"], folder)
    assert kept["size_bytes"] == len(content)
    assert (folder / name).read_bytes() == content
    assert json.loads((folder / "records.json").read_text(encoding="utf-8")) == [kept]
    shutil.copy(BUNDLED / "README.md", tmp_path / "other.tinylab")
    assert promote([tmp_path / "other.tinylab"], folder) == [kept]
