"""The traps that give a wrong result or raise, and their mends, on tensors of a few numbers.

Every trap makes TinyJits of its own. One that fails while capturing leaves nothing behind: tinygrad 0.14.0
ends the capture in a `finally`.
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
    """The first of two outputs, read after the second call: a replay returns the same tensor every time."""

    def first(keep: Callable[[Any], Any]) -> Values:
        jit = TinyJit(lambda x: (x * 2).realize())
        _calls(jit, [_tensor(device, 1)], [_tensor(device, 1)])
        kept = keep(jit(_tensor(device, 1)))
        jit(_tensor(device, 3))
        return _read(kept)

    return _seen("2*1", [2], "kept from x=1", lambda: first(lambda out: out), lambda: first(_copy))


def constant(device: str) -> PitfallOutcome:
    """A number that is no tensor is written into the captured program."""
    x, numbers = _tensor(device, 2), (2.0, 2.0, 3.0)

    def trapped() -> Values:
        return _calls(TinyJit(lambda x, a: (x * a).realize()), *([x, a] for a in numbers))

    def mended() -> Values:
        return _calls(TinyJit(lambda x, a: (x * a).realize()), *([x, _tensor(device, a)] for a in numbers))

    return _seen("2*3", [6], "at a=3", trapped, mended)


def branch(device: str) -> PitfallOutcome:
    """The side that a condition took at the capture is taken ever after."""
    x, conditions = _tensor(device, 5), (True, True, False)

    def trapped() -> Values:
        return _calls(TinyJit(lambda x, up: (x + 1 if up else x - 1).realize()), *([x, up] for up in conditions))

    def mended() -> Values:
        flags = [Tensor([up], device=device).realize() for up in conditions]
        return _calls(TinyJit(lambda x, up: up.where(x + 1, x - 1).realize()), *([x, up] for up in flags))

    return _seen("5-1", [4], "at up=False", trapped, mended)


def shared_method(device: str) -> PitfallOutcome:
    """A TinyJit in the class body is one program for all instances: the second computes with the first's weight."""

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

    def trapped() -> Values:
        first, second = Shared(2), Shared(10)
        _calls(first.forward, [x], [x])
        return _calls(second.forward, [x])

    def mended() -> Values:
        first, second = Own(2), Own(10)
        _calls(first.forward, [x], [x], [x])
        return _calls(second.forward, [x], [x], [x])

    return _seen("1*10", [10], "from the second instance", trapped, mended)


def vector_length(device: str) -> PitfallOutcome:
    """A longer vector than the captured one is cut: of an input that is a whole buffer no shape is compared.

    Only a longer one is tried: with a shorter one the program would read past its end.
    """
    short, long = _tensor(device, 1, 2), _tensor(device, 1, 2, 3)

    def trapped() -> Values:
        return _calls(TinyJit(_double), [short], [short], [long])

    return _seen("2*[1, 2, 3]", [2, 4, 6], "after [1, 2]", trapped, lambda: _by_shape(short, long))


def nested_captured(device: str) -> PitfallOutcome:
    """An inner TinyJit that replays during the outer capture runs once, then never again."""
    one, five = _tensor(device, 1), _tensor(device, 5)

    def trapped() -> Values:
        inner = TinyJit(_double)
        _calls(inner, [one], [one], [one])
        return _calls(TinyJit(lambda x: (inner(x) + 1).realize()), [one], [one], [five])

    def mended() -> Values:
        return _calls(TinyJit(lambda x: (_double(x) + 1).realize()), [one], [one], [five])

    return _seen("2*5+1", [11], "at x=5", trapped, mended)


def shape_mismatch(device: str) -> PitfallOutcome:
    """A captured program takes the shapes of its capture and no others."""
    narrow = Tensor([[1.0, 2.0]], device=device).realize()
    wide = Tensor([[1.0, 2.0, 3.0]], device=device).realize()

    def trapped() -> Values:
        return _calls(TinyJit(_double), [narrow], [narrow], [wide])

    return _seen("2*[[1, 2, 3]]", [2, 4, 6], "after [[1, 2]]", trapped, lambda: _by_shape(narrow, wide))


def duplicate_inputs(device: str) -> PitfallOutcome:
    """The inputs of a call must be different buffers."""
    x = _tensor(device, 3)

    def trapped() -> Values:
        return _calls(TinyJit(_add), [x, x], [x, x], [x, x])

    def mended() -> Values:
        return _calls(TinyJit(_add), [x, x.clone()], [x, x.clone()], [x, x.clone()])

    return _seen("3+3", [6], "from f(x, x)", trapped, mended)


def nested(device: str) -> PitfallOutcome:
    """Two captures at once are refused."""
    x = _tensor(device, 1)

    def trapped() -> Values:
        inner = TinyJit(_double)
        return _calls(TinyJit(lambda x: (inner(x) + 1).realize()), [x], [x], [x])

    def mended() -> Values:
        return _calls(TinyJit(lambda x: (_double(x) + 1).realize()), [x], [x], [x])

    return _seen("2*1+1", [3], "from the outer call", trapped, mended)


def item_inside(device: str) -> PitfallOutcome:
    """A value that is read while capturing would be frozen: tinygrad refuses."""
    x = _tensor(device, 1, 3)

    def trapped() -> Values:
        return _calls(TinyJit(lambda x: (x / x.sum().item()).realize()), [x], [x], [x])

    def mended() -> Values:
        return _calls(TinyJit(lambda x: (x / x.sum()).realize()), [x], [x], [x])

    return _seen("[1, 3]/4", [0.25, 0.75], "divided by its sum", trapped, mended)


CHECKS: dict[str, Callable[[str], PitfallOutcome]] = {
    one.__name__: one
    for one in (
        *(output_buffer, constant, branch, shared_method, vector_length, nested_captured),
        *(shape_mismatch, duplicate_inputs, nested, item_inside),
    )
}


def _seen(
    what: str, value: Values, where: str, trapped: Callable[[], Values], mended: Callable[[], Values]
) -> PitfallOutcome:
    observed, after = _outcome(trapped), _outcome(mended)
    return PitfallOutcome(
        expected=f"{what} = {_text(value)} {where}",
        observed=_text(observed),
        mended=_text(after),
        safe=observed == value,
        right=after == value,
    )


def _outcome(call: Callable[[], Values]) -> Values | str:
    """What a call gives, or the first line of the error that tinygrad's JIT raises."""
    try:
        return call()
    except (JitError, RuntimeError) as error:
        said = one_line(error)
        return said if len(said) <= MAX_TEXT else said[: MAX_TEXT - 1] + "…"


def _text(value: Values | str) -> str:
    if isinstance(value, str):
        return value
    numbers = [f"{one:g}" for one in value]
    return numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"


def _calls(jit: Any, *calls: Sequence[Any]) -> Values:
    """Calls one after another; the values of the last output."""
    for arguments in calls:
        out = jit(*arguments)
    return _read(out)


def _by_shape(first: Any, second: Any) -> Values:
    """Both shapes served, each by a program of its own."""
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
