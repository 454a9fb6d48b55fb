"""The C of an exported program: `model.c` with the weights inside, and `model.h`. Equal programs, equal text."""

from collections.abc import Iterator

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.c_program import Argument, CKernel, CProgram

WIDTH = 118
C_TYPES = {"int8": "i8", "uint8": "u8", "int16": "i16", "int32": "i32", "int64": "i64", "float32": "f32", "bool": "u8"}
SIZES = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "u32": 4, "i64": 8, "u64": 8, "f32": 4}

HEADER = """/* {title}
   Made by tinygrad lab. Not for use by several threads at once: the intermediate results are static. */
#ifndef MODEL_H
#define MODEL_H

#define MODEL_INPUTS {inputs}
#define MODEL_OUTPUTS {outputs}

#ifdef __cplusplus
extern "C" {{
#endif

/* One row of MODEL_INPUTS numbers to one row of MODEL_OUTPUTS logits. */
void predict(const float *input, float *output);

#ifdef __cplusplus
}}
#endif
#endif
"""

# Why may_alias: a tensor in the arena lies where an earlier one of another type lay.
OPENING = """/* {title}
   Made by tinygrad lab from the kernels that tinygrad {tinygrad} captured. Build: cc -O2 model.c -o model -lm
   The program reads rows of {inputs} float32 from standard input until it ends, writes rows of {outputs} float32.
   -DMODEL_NO_MAIN leaves predict() alone, which needs no C library. */
#include <stdint.h>

typedef int8_t i8;
typedef uint8_t u8;
typedef int16_t i16 __attribute__((may_alias));
typedef uint16_t u16 __attribute__((may_alias));
typedef int32_t i32 __attribute__((may_alias));
typedef uint32_t u32 __attribute__((may_alias));
typedef int64_t i64 __attribute__((may_alias));
typedef uint64_t u64 __attribute__((may_alias));
typedef float f32 __attribute__((may_alias));
{vectors}
void predict(const float *input, float *output);
"""

TRUNCATED = """
/* truncf without the C library, in a form that compilers make vectors of. */
static inline f32 truncated(f32 x) {
  const f32 whole = 8388608.0f; /* from here on every float is an integer */
  f32 low = x > -whole ? x : -whole; /* NaN too */
  f32 inside = low < whole ? low : whole;
  f32 cut = (f32)(i32)inside;
  return inside == x ? cut : x;
}
"""

MAIN = """
#ifndef MODEL_NO_MAIN
#include <stdio.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

int main(void) {
  static float input[MODEL_INPUTS], output[MODEL_OUTPUTS];
  size_t got;
#ifdef _WIN32
  _setmode(_fileno(stdin), _O_BINARY);
  _setmode(_fileno(stdout), _O_BINARY);
#endif
  while ((got = fread(input, 1, sizeof input, stdin)) == sizeof input) {
    predict(input, output);
    if (fwrite(output, sizeof output, 1, stdout) != 1) {
      fprintf(stderr, "model: the output cannot be written\\n");
      return 1;
    }
  }
  if (got != 0) {
    fprintf(stderr, "model: the last row has %lu of %lu bytes\\n", (unsigned long)got, (unsigned long)sizeof input);
    return 2;
  }
  return 0;
}
#endif
"""


def header(program: CProgram, title: str) -> str:
    """The text of `model.h`."""
    return HEADER.format(title=title, inputs=program.inputs, outputs=program.outputs)


def source(program: CProgram, title: str, tinygrad: str) -> str:
    """The text of `model.c`, which needs no other file."""
    vectors = "".join(f"{_vector(*one)}\n" for one in program.vectors)
    opening = OPENING.format(
        title=title, tinygrad=tinygrad, inputs=program.inputs, outputs=program.outputs, vectors=vectors
    )
    bodies = "".join(kernel.body for kernel in program.kernels)
    parts = [opening, f"#define MODEL_INPUTS {program.inputs}\n#define MODEL_OUTPUTS {program.outputs}\n"]
    parts += [TRUNCATED] if "truncated(" in bodies else []
    parts += [_weights(number, values) for number, values in enumerate(program.weights)]
    if program.arena_bytes:
        parts.append(f"\nstatic u8 arena[{program.arena_bytes}] __attribute__((aligned(64)));\n")
    parts += [_kernel(number, kernel) for number, kernel in enumerate(program.kernels)]
    return "".join([*parts, _predict(program), MAIN])


def _vector(kind: str, count: int) -> str:
    """Aligned as its numbers are: nobody promises more for the rows that predict() is given."""
    size = SIZES[kind]
    attributes = f"vector_size({size * count}), aligned({size}), may_alias"
    base = {"i8": "int8_t", "u8": "uint8_t", "f32": "float"}.get(kind) or f"{'u' * (kind[0] == 'u')}int{8 * size}_t"
    return f"typedef {base} {kind}x{count} __attribute__(({attributes}));"


def _weights(number: int, values: Array) -> str:
    kind = C_TYPES[values.dtype.name]
    return (
        f"\nstatic const {kind} weights_{number}[{len(values)}] __attribute__((aligned(64))) = {{\n"
        + "".join(f"{line}\n" for line in _lines(values))
        + "};\n"
    )


def _lines(values: Array) -> Iterator[str]:
    """The numbers in lines, each number exactly as it is."""
    line = ""
    for value in values.tolist() if values.dtype != np.float32 else values:
        text = _float(value) if values.dtype == np.float32 else str(int(value))
        if len(line) + len(text) + 1 > WIDTH:
            yield line
            line = ""
        line += f"{text},"
    yield line


def _float(value: np.float32) -> str:
    """Nine digits at most determine a float32."""
    text = np.format_float_scientific(value, unique=True, trim="0", exp_digits=1)
    plain = np.format_float_positional(value, unique=True, trim="0")
    return f"{plain if len(plain) <= len(text) else text}f"


def _kernel(number: int, kernel: CKernel) -> str:
    return f"\n/* {kernel.name} */\nstatic void kernel_{number}({kernel.parameters}) {{\n{kernel.body}\n}}\n"


def _predict(program: CProgram) -> str:
    lines = []
    for number, kernel in enumerate(program.kernels):
        kinds = [_pointer(one) for one in kernel.parameters.split(", ")]
        given = ", ".join(map(_argument, kernel.arguments, kinds))
        lines.append(f"  kernel_{number}({given});\n")
    return "\nvoid predict(const float *input, float *output) {\n" + "".join(lines) + "}\n"


def _pointer(parameter: str) -> str:
    """`f32*` of `const f32* restrict data1_784`."""
    return parameter.removeprefix("const ").split()[0]


def _argument(argument: Argument, pointer: str) -> str:
    match argument.place:
        case "weight":
            return f"weights_{argument.where}"
        case "arena":
            return f"({pointer})(arena + {argument.where})"
        case named:
            return named
