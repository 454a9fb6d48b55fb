"""The zip of an exported model: C, header, test vector, recipe and instructions. Equal models, equal bytes."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.c_program import CProgram
from experiments.bench.zip_file import deterministic_zip

README = """# {title}

One C file with the weights inside: no Python, no other library, no dynamic allocation. gcc, clang and `zig cc`
build it:

```sh
cc -O2 model.c -o model -lm
```

`-O3 -march=native` uses all instructions of the machine that builds it. Measure what it brings: it makes products of
integers several times faster, but clang 14 makes gathers of convolutions with it, which are slower by far.

| | |
| --- | --- |
| input | rows of {inputs} float32 (little-endian as the machine is), {layout} |
| output | rows of {outputs} float32 logits; the largest one's index is the class |
| accuracy | {accuracy:.2%} of the 10,000 MNIST test images |
| constants | {weights_bytes:,} bytes |
| intermediate results | {arena_bytes:,} bytes, static |

`./model < rows.bin > logits.bin` reads rows until the input ends. A last row that is cut off ends the program with
status 2 and one line on standard error.

`predict(const float *input, float *output)` of `model.h` is one row to one row; build with `-DMODEL_NO_MAIN` to call
it from a program of your own. It is not for several threads at once.

`test_vector.npz` holds `inputs` and the `logits` that Python computes for them: {exactness}

```python
import subprocess, numpy as np
vector = np.load("test_vector.npz")
done = subprocess.run(["./model"], input=vector["inputs"].tobytes(), stdout=subprocess.PIPE, check=True)
print(abs(np.frombuffer(done.stdout, np.float32).reshape(-1, {outputs}) - vector["logits"]).max())
```

`recipe.json` says how the model was made; the same recipe makes the same `model.c`.
"""


def archive(
    program: CProgram, title: str, texts: Mapping[str, str], images: Array, logits: Array, recipe: Mapping[str, Any]
) -> bytes:
    """The zip with `texts` (`model.c`, `model.h`), the test vector and the recipe, whose `accuracy` it states."""
    side = int(program.inputs**0.5)
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
        exactness="the program gives the same bits." if recipe["exact"] else "the program agrees to float32 rounding.",
    )
    vector = io.BytesIO()
    np.savez(vector, inputs=images.astype(np.float32), logits=logits.astype(np.float32))
    files: dict[str, bytes] = {name: text.encode() for name, text in texts.items()}
    files["test_vector.npz"] = vector.getvalue()
    files["recipe.json"] = (json.dumps(recipe, indent=2, sort_keys=True) + "\n").encode()
    files["README.md"] = readme.encode()
    return deterministic_zip(files)
