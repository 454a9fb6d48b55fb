"""The carried record files are what is said of them; only better ones take their place."""

import json
import shutil
import zipfile

import pytest

from experiments.compression.record.promote_best import CARRIED, GOALS, STATED, carry, measure

RECORDS = json.loads(STATED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("stated", RECORDS, ids=[one["network"] for one in RECORDS])
def test_a_carried_file_alone_restores_the_model_that_is_stated(stated):
    content = (CARRIED / f"{stated['network']}.tinylab").read_bytes()
    found = measure(content)
    assert len(content) == stated["size_bytes"]
    accuracies = {name: stated[name] for name in ("accuracy", "validation_accuracy")}
    # another machine's matrix product may round another way and turn a digit or two
    assert {name: found[name] for name in accuracies} == pytest.approx(accuracies, abs=3e-4)
    rest = stated.keys() - accuracies.keys()
    assert {name: found[name] for name in rest} == {name: stated[name] for name in rest}


def test_the_carried_files_reach_their_goals():
    named = {one["network"]: one for one in RECORDS}
    assert named.keys() <= GOALS.keys()
    assert {path.stem for path in CARRIED.glob("*.tinylab")} == named.keys()
    record = named["lenet_300_100"]
    assert record["compression"] >= 150
    assert min(record["accuracy"], record["validation_accuracy"]) >= 1 - GOALS["lenet_300_100"]


def test_of_a_runs_files_the_smallest_that_is_good_enough_is_kept(tmp_path):
    folder, name = tmp_path / "smallest", "lenet_300_100.tinylab"
    content = (CARRIED / name).read_bytes()
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as bundle:
        bundle.writestr("run.json", "{}")
        bundle.writestr("artifacts/abc", content)
        bundle.writestr("artifacts/def", content[:-1])
    [kept] = carry([tmp_path / "run.zip"], folder)
    assert kept["size_bytes"] == len(content)
    assert (folder / name).read_bytes() == content
    assert json.loads((folder / "records.json").read_text(encoding="utf-8")) == [kept]
    shutil.copy(CARRIED / "README.md", tmp_path / "other.tinylab")
    assert carry([tmp_path / "other.tinylab"], folder) == [kept]
