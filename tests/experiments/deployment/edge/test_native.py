"""A compiled program that moves to other memory."""

import numpy as np
import pytest

from experiments.deployment.edge import native
from experiments.export_c.targets import host_compiler

pytestmark = pytest.mark.slow

SOURCE = """
static const float weights[4] = {1, 2, 3, 4};
void predict(const float *input, float *output) {
  for (int i = 0; i < 4; i++) output[i] = weights[i] * input[i];
}
"""


def test_a_library_gives_the_same_results_from_every_place_and_old_places_are_left(tmp_path):
    source = tmp_path / "model.c"
    source.write_text(SOURCE)
    compiler, _ = host_compiler()
    library = native.NativeLibrary([*compiler, "-O2"], source, 4)
    row, handles = np.full(4, 2.0, np.float32), set()
    for _ in range(3 * native.MAX_LEFT):
        library.move()
        library.caller(row)()
        handles.add(library._library._handle)
        assert library._output.tolist() == [2.0, 4.0, 6.0, 8.0]
    assert len(handles) > native.MAX_LEFT
    assert len(library._left) == native.MAX_LEFT
    assert sorted(one.name for one in tmp_path.glob("*.so")) == ["model.so"]
