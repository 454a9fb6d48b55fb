import json
import subprocess
import sys

from experiments.bench.machine.toolchain import child_environment


def test_a_teachers_logits_are_the_same_from_numpy_the_device_and_the_cache(tmp_path):
    command = [sys.executable, "-m", "tests.experiments.models.techniques.teacher_logits_program"]
    environment = child_environment("CPU") | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["shapes"] == [[9, 1007, 3]] * 2
    assert seen["difference"] < 0.01  # half precision
    assert seen["cached"]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
