"""The zip of an exported model: C, header, test vector, recipe and README. Equal models, equal bytes."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.c_program import CProgram
from experiments.bench.zip_file import deterministic_zip

README = """# {title}

One C file that contains the weights: no Python, no other library, no dynamic allocation. It builds with gcc, clang
and `zig cc`:

```sh
cc -O2 model.c -o model -lm
```

`-O3 -march=native` uses all instructions of the build machine. Measure it: integer matrix products become several
times faster, but clang 14 compiles convolutions to gather instructions, which are much slower.

| | |
| --- | --- |
| input | rows of {inputs} float32 in the machine's byte order, {layout} |
| output | rows of {outputs} float32 logits; the predicted class is the index of the largest |
| accuracy | {accuracy:.2%} of the 10,000 MNIST test images |
| constants | {weights_bytes:,} bytes |
| intermediate results | {arena_bytes:,} bytes, static |

`./model < rows.bin > logits.bin` reads rows until the end of the input. If the last row is incomplete, the program
exits with status 2 and one line on standard error.

`predict(const float *input, float *output)` in `model.h` computes one row. Build with `-DMODEL_NO_MAIN` to call it
from your own program. It is not thread-safe.

`test_vector.npz` contains `inputs` and the `logits` that Python computes for them: {exactness}

```python
import subprocess, numpy as np
vector = np.load("test_vector.npz")
done = subprocess.run(["./model"], input=vector["inputs"].tobytes(), stdout=subprocess.PIPE, check=True)
print(abs(np.frombuffer(done.stdout, np.float32).reshape(-1, {outputs}) - vector["logits"]).max())
```

`recipe.json` describes how the model was built; the same recipe gives the same `model.c`.
"""


def archive(
    program: CProgram, title: str, texts: Mapping[str, str], images: Array, logits: Array, recipe: Mapping[str, Any]
) -> bytes:
    """The zip: `texts` (`model.c`, `model.h`), test vector, recipe, and a README with the recipe's accuracy."""
    side = int(program.inputs**0.5)
    agreement = "are bit-identical" if recipe["exact"] else "agree within float32 rounding"
    readme = README.format(
        title=title,
        inputs=program.inputs,
        outputs=program.outputs,
        layout=f"{side} x {side} pixels row by row, 0 black to 1 white"
        if side * side == program.inputs
        else "in order",
        accuracy=recipe["accuracy"],
        weights_bytes=program.weights_bytes,
        arena_bytes=program.arena_bytes,
        exactness=f"the program's logits {agreement}.",
    )
    vector = io.BytesIO()
    np.savez(vector, inputs=images.astype(np.float32), logits=logits.astype(np.float32))
    files: dict[str, bytes] = {name: text.encode() for name, text in texts.items()}
    files["test_vector.npz"] = vector.getvalue()
    files["recipe.json"] = (json.dumps(recipe, indent=2, sort_keys=True) + "\n").encode()
    files["README.md"] = readme.encode()
    return deterministic_zip(files)
