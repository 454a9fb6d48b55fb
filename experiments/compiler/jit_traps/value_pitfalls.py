"""The pitfalls that give a wrong result or raise, and their fixes, on tensors of a few numbers.

Every pitfall creates its own TinyJits. A failed capture has no lasting effect: tinygrad 0.14.0 ends the capture in
a `finally`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad import Tensor, TinyJit

from experiments.bench.errors import one_line
from experiments.bench.tinygrad.capture import JitError
from experiments.bench.tinygrad.runtime import PerShapeJit
from experiments.compiler.jit_traps.pitfalls import PitfallOutcome

MAX_TEXT = 120
Values = list[float]


def output_buffer(device: str) -> PitfallOutcome:
    """The first of two outputs, read after the second call: every replay returns the same tensor."""

    def first(keep: Callable[[Any], Any]) -> Values:
        jit = TinyJit(lambda x: (x * 2).realize())
        _calls(jit, [_tensor(device, 1)], [_tensor(device, 1)])
        kept = keep(jit(_tensor(device, 1)))
        jit(_tensor(device, 3))
        return _read(kept)

    return _compare("2*1", [2], "kept from x=1", lambda: first(lambda out: out), lambda: first(_copy))


def constant(device: str) -> PitfallOutcome:
    """A Python number becomes a constant of the captured program."""
    x, numbers = _tensor(device, 2), (2.0, 2.0, 3.0)

    def flawed() -> Values:
        return _calls(TinyJit(lambda x, a: (x * a).realize()), *([x, a] for a in numbers))

    def fixed() -> Values:
        return _calls(TinyJit(lambda x, a: (x * a).realize()), *([x, _tensor(device, a)] for a in numbers))

    return _compare("2*3", [6], "at a=3", flawed, fixed)


def branch(device: str) -> PitfallOutcome:
    """The branch taken during the capture is taken in every replay."""
    x, conditions = _tensor(device, 5), (True, True, False)

    def flawed() -> Values:
        return _calls(TinyJit(lambda x, up: (x + 1 if up else x - 1).realize()), *([x, up] for up in conditions))

    def fixed() -> Values:
        flags = [Tensor([up], device=device).realize() for up in conditions]
        return _calls(TinyJit(lambda x, up: up.where(x + 1, x - 1).realize()), *([x, up] for up in flags))

    return _compare("5-1", [4], "at up=False", flawed, fixed)


def shared_method(device: str) -> PitfallOutcome:
    """A TinyJit in the class body is shared by all instances: the second computes with the first's weight."""

    class Plain:
        def __init__(self, weight: float) -> None:
            self.weight = _tensor(device, weight)

        def forward(self, x: Any) -> Any:
            return (x * self.weight).realize()

    class Shared(Plain):
        forward = TinyJit(Plain.forward)

    class Own(Plain):
        def __init__(self, weight: float) -> None:
            super().__init__(weight)
            self.forward = TinyJit(self.forward)  # type: ignore[method-assign]

    x = _tensor(device, 1)

    def flawed() -> Values:
        first, second = Shared(2), Shared(10)
        _calls(first.forward, [x], [x])
        return _calls(second.forward, [x])

    def fixed() -> Values:
        first, second = Own(2), Own(10)
        _calls(first.forward, [x], [x], [x])
        return _calls(second.forward, [x], [x], [x])

    return _compare("1*10", [10], "from the second instance", flawed, fixed)


def vector_length(device: str) -> PitfallOutcome:
    """A vector longer than the captured one is truncated: the shape of a whole-buffer input is not compared.

    Only a longer one is tried: with a shorter one the program would read out of bounds.
    """
    short, long = _tensor(device, 1, 2), _tensor(device, 1, 2, 3)

    def flawed() -> Values:
        return _calls(TinyJit(_double), [short], [short], [long])

    return _compare("2*[1, 2, 3]", [2, 4, 6], "after [1, 2]", flawed, lambda: _by_shape(short, long))


def nested_captured(device: str) -> PitfallOutcome:
    """An inner TinyJit that replays during the outer capture is not part of it: outer replays skip it."""
    one, five = _tensor(device, 1), _tensor(device, 5)

    def flawed() -> Values:
        inner = TinyJit(_double)
        _calls(inner, [one], [one], [one])
        return _calls(TinyJit(lambda x: (inner(x) + 1).realize()), [one], [one], [five])

    def fixed() -> Values:
        return _calls(TinyJit(lambda x: (_double(x) + 1).realize()), [one], [one], [five])

    return _compare("2*5+1", [11], "at x=5", flawed, fixed)


def shape_mismatch(device: str) -> PitfallOutcome:
    """A captured program only takes inputs of the captured shapes."""
    narrow = Tensor([[1.0, 2.0]], device=device).realize()
    wide = Tensor([[1.0, 2.0, 3.0]], device=device).realize()

    def flawed() -> Values:
        return _calls(TinyJit(_double), [narrow], [narrow], [wide])

    return _compare("2*[[1, 2, 3]]", [2, 4, 6], "after [[1, 2]]", flawed, lambda: _by_shape(narrow, wide))


def duplicate_inputs(device: str) -> PitfallOutcome:
    """The inputs of a call must be distinct buffers."""
    x = _tensor(device, 3)

    def flawed() -> Values:
        return _calls(TinyJit(_add), [x, x], [x, x], [x, x])

    def fixed() -> Values:
        return _calls(TinyJit(_add), [x, x.clone()], [x, x.clone()], [x, x.clone()])

    return _compare("3+3", [6], "from f(x, x)", flawed, fixed)


def nested(device: str) -> PitfallOutcome:
    """A capture inside a capture raises."""
    x = _tensor(device, 1)

    def flawed() -> Values:
        inner = TinyJit(_double)
        return _calls(TinyJit(lambda x: (inner(x) + 1).realize()), [x], [x], [x])

    def fixed() -> Values:
        return _calls(TinyJit(lambda x: (_double(x) + 1).realize()), [x], [x], [x])

    return _compare("2*1+1", [3], "from the outer call", flawed, fixed)


def item_inside(device: str) -> PitfallOutcome:
    """A value read during the capture would become a constant: tinygrad raises."""
    x = _tensor(device, 1, 3)

    def flawed() -> Values:
        return _calls(TinyJit(lambda x: (x / x.sum().item()).realize()), [x], [x], [x])

    def fixed() -> Values:
        return _calls(TinyJit(lambda x: (x / x.sum()).realize()), [x], [x], [x])

    return _compare("[1, 3]/4", [0.25, 0.75], "divided by its sum", flawed, fixed)


CHECKS: dict[str, Callable[[str], PitfallOutcome]] = {
    check.__name__: check
    for check in (
        *(output_buffer, constant, branch, shared_method, vector_length, nested_captured),
        *(shape_mismatch, duplicate_inputs, nested, item_inside),
    )
}


def _compare(
    expression: str, value: Values, where: str, flawed: Callable[[], Values], fixed: Callable[[], Values]
) -> PitfallOutcome:
    """Runs the flawed and the fixed code and compares the values with the expected one."""
    observed, after = _values_or_error(flawed), _values_or_error(fixed)
    return PitfallOutcome(
        expected=f"{expression} = {_text(value)} {where}",
        observed=_text(observed),
        fixed=_text(after),
        safe=observed == value,
        fix_works=after == value,
    )


def _values_or_error(call: Callable[[], Values]) -> Values | str:
    """The values that a call gives, or the first line of the error that tinygrad's JIT raises."""
    try:
        return call()
    except (JitError, RuntimeError) as error:
        text = one_line(error)
        return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _text(value: Values | str) -> str:
    if isinstance(value, str):
        return value
    numbers = [f"{number:g}" for number in value]
    return numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"


def _calls(jit: Any, *calls: Sequence[Any]) -> Values:
    """Makes the calls in order; returns the values of the last output."""
    for arguments in calls:
        out = jit(*arguments)
    return _read(out)


def _by_shape(first: Any, second: Any) -> Values:
    """Calls with both shapes, each with its own captured program; returns the values of the last output."""
    jit = PerShapeJit(_double)
    _calls(jit, *[[first]] * 3)
    return _calls(jit, *[[second]] * 3)


def _read(tensor: Any) -> Values:
    values: Values = tensor.flatten().tolist()
    return values


def _tensor(device: str, *values: float) -> Any:
    return Tensor([float(value) for value in values], device=device).realize()


def _copy(tensor: Any) -> Any:
    return tensor.clone().realize()


def _double(x: Any) -> Any:
    return (x * 2).realize()


def _add(x: Any, y: Any) -> Any:
    return (x + y).realize()
