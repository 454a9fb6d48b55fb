"""Specs and `@experiment`: one declaration defines form, URL, command line, CSV columns and checks."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from experiments.bench.answers import default_answer
from experiments.bench.challenge import Challenge
from experiments.bench.columns import IDENTITY, RUN_ID, Column, check_record, resolve
from experiments.bench.errors import BadInput
from experiments.bench.machine.device import AUTO, check_name
from experiments.bench.machine.roofline import CEILINGS
from experiments.bench.profile import KERNELS, MEMORY, REPLAY
from experiments.bench.rows import Row
from experiments.bench.timing.measure import Budget

if TYPE_CHECKING:
    import pandas as pd

    from experiments.bench.session import Bench

Section = Literal["Compiler", "Compression", "Deployment", "Machine"]
DeviceName = Annotated[str, AfterValidator(check_name)]


@dataclass(frozen=True)
class Need:
    """Memory that a run needs at once, and its use; a run that needs too much is refused before any allocation."""

    bytes: int
    what: str


class Spec(BaseModel):
    """The typed, validated parameters of one run. Lists may be given as text: `batch=1,32,256`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    device: DeviceName = Field(
        AUTO,
        title="Device",
        description="name of the device in tinygrad; auto: the first that works, resolved when the run is submitted",
    )

    @model_validator(mode="before")  # a validator of each field would take a tenth of the time to import experiments
    @classmethod
    def _split_lists(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        lists = {name for name, field in cls.model_fields.items() if get_origin(field.annotation) is list}
        return {
            name: [part.strip() for part in value.split(",") if part.strip()]
            if name in lists and isinstance(value, str)
            else value
            for name, value in given.items()
        }

    def need(self) -> Need:
        """The largest amount of device memory in use at once; by default too little to check."""
        return Need(0, "")

    def devices_used(self) -> tuple[str, ...]:
        """The devices on which the run measures: no other run may use them at the same time."""
        return (self.device,)

    def text(self, name: str) -> str:
        """The value of one field as in the command line and the URL."""
        value = getattr(self, name)
        if isinstance(value, list):
            return ",".join(str(item) for item in value)
        return str(value).lower() if isinstance(value, bool) else str(value)


class MeasuredSpec(Spec):
    """A spec of an experiment that times calls, with the stopping rule of a grid point."""

    half_width: float = Field(
        0.02,
        ge=0.001,
        le=0.5,
        title="Target half-width",
        description="stop when half of each 95% interval is below this fraction of the median",
    )
    budget_s: float = Field(
        4.0,
        ge=0.1,
        le=600,
        title="Budget per grid point [s]",
        description="time after which measuring also stops; at least 12 blocks are always measured",
    )

    @property
    def budget(self) -> Budget:
        """The stopping rule of these fields."""
        return Budget(half_width=self.half_width, seconds=self.budget_s)


@dataclass(frozen=True)
class FieldInfo:
    """One field of a spec, for form, command line and messages."""

    name: str
    title: str
    description: str
    kind: Literal["text", "integer", "number", "boolean", "choice"]
    is_list: bool
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    max_items: int | None
    default: str

    @property
    def allowed(self) -> str:
        """The allowed values as text: `integers from 1 to 65536, at most 16 of them, separated by commas`."""
        plural = "s" if self.is_list else ""
        if self.choices:
            what = ("any of " if self.is_list else "one of ") + ", ".join(self.choices)
        elif self.kind in ("integer", "number"):
            article = "" if self.is_list else "an " if self.kind == "integer" else "a "
            what = f"{article}{self.kind}{plural}"
            if self.low is not None and self.high is not None:
                what += f" from {self.low:g} to {self.high:.15g}"
        else:
            what = {"boolean": "true or false"}.get(self.kind, "text")
        if self.is_list and self.max_items:
            what += f", at most {self.max_items} of them, separated by commas"
        return what


def fields(spec: type[Spec]) -> Mapping[str, FieldInfo]:
    """All fields of a spec by name: the device, the experiment's fields, and last the stopping rule."""
    return _fields(spec)


@functools.cache
def _fields(spec: type[Spec]) -> Mapping[str, FieldInfo]:
    properties = spec.model_json_schema()["properties"]
    last = [name for name in MeasuredSpec.model_fields if name in properties and name not in Spec.model_fields]
    order = [*(name for name in properties if name not in last), *last]
    return {name: _field_info(spec, name, properties[name]) for name in order}


def _field_info(spec: type[Spec], name: str, schema: Mapping[str, Any]) -> FieldInfo:
    is_list = schema.get("type") == "array"
    item = schema["items"] if is_list else schema
    choices = tuple(item["enum"]) if "enum" in item else (item["const"],) if "const" in item else ()
    kinds: dict[str, Any] = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}
    default = schema.get("default", "")
    return FieldInfo(
        name=name,
        title=schema.get("title", name),
        description=spec.model_fields[name].description or "",
        kind="choice" if choices else kinds[item["type"]],
        is_list=is_list,
        choices=choices,
        low=item.get("minimum"),
        high=item.get("maximum"),
        max_items=schema.get("maxItems"),
        default=",".join(map(str, default)) if is_list else str(default),
    )


SpecT = TypeVar("SpecT", bound=Spec)


def parse(spec: type[SpecT], given: Mapping[str, object]) -> SpecT:
    """The validated spec, or BadInput with one line per problem: field, value, allowed values."""
    try:
        return spec.model_validate(dict(given))
    except ValidationError as error:
        known = fields(spec)
        problems = dict.fromkeys(_problem(known, given, item) for item in error.errors())
        raise BadInput(*problems) from None


def _problem(known: Mapping[str, FieldInfo], given: Mapping[str, object], error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        return f"{_short(name)}: unknown field{hint}; the fields are {', '.join(known)}"
    if error["type"] == "value_error":  # a validator's message is more precise than the limits
        message = str(error["ctx"]["error"])
        return f"{name}: {message}" if name else message
    value = error["input"] if name in given and not isinstance(error["input"], dict) else given.get(name)
    return f"{name}: {_short(value)} is not allowed; give {known[name].allowed}"


def _short(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    line = " ".join(text[:200].split()) or "nothing"
    return line if len(line) <= 60 else line[:57] + "…"


RunFunction = Callable[[SpecT, "Bench"], Iterator[Row]]
AnswerFunction = Callable[["pd.DataFrame"], str]
PlanFunction = Callable[[SpecT], str]


@dataclass(frozen=True)
class Experiment(Generic[SpecT]):
    """An experiment as page, command line and store use it."""

    name: str
    section: Section
    title: str
    question: str
    compares: str
    description: str
    spec: type[SpecT]
    run: RunFunction[SpecT]
    presets: Mapping[str, SpecT]
    columns: tuple[Column, ...]
    details: Mapping[str, tuple[Column, ...]]
    grid: tuple[str, ...]
    summary: tuple[str, ...]
    answer: AnswerFunction
    plan: PlanFunction[SpecT]
    challenge: Challenge | None

    def preset(self, name: str) -> SpecT:
        """The preset of this name, or BadInput that lists the names."""
        if name not in self.presets:
            raise BadInput(f"preset: {_short(name)} is not allowed; give one of {', '.join(self.presets)}")
        return self.presets[name]

    def check_row(self, row: Row) -> None:
        """Raises ValueError for a row that does not match the declared columns."""
        check_record(row.values, (*IDENTITY, *self.columns))


def experiment(
    *,
    section: Section,
    title: str,
    question: str,
    spec: type[SpecT],
    presets: Mapping[str, SpecT],
    columns: Sequence[str | Column],
    grid: Sequence[str],
    summary: Sequence[str],
    answer: AnswerFunction | None = None,
    details: Mapping[str, Sequence[str | Column]] | None = None,
    inspects: bool = False,
    plan: PlanFunction[SpecT] | None = None,
    challenge: Challenge | None = None,
    compares: str = "",
) -> Callable[[RunFunction[SpecT]], Experiment[SpecT]]:
    """Declares the decorated run function an experiment, named after the function.

    `grid` names the columns that identify a grid point; rows of one point were measured together. `summary` names the
    columns of a narrow table. `answer` returns one sentence with numbers for a frame, or an empty string if its rows
    are not enough; by default `default_answer`. `inspects` declares the details that `Bench.inspect` fills, each with
    the columns of the grid. `plan` describes in one line what a spec would run and for how long, before it is run.
    `challenge` is a goal for learners that a run can meet. `compares` names the variants in a few words.
    """

    def declare(run: RunFunction[SpecT]) -> Experiment[SpecT]:
        resolved = resolve(columns)
        grid_columns = [column for column in resolved if column.name in grid]
        profiled = {"kernels": KERNELS, "replay": REPLAY, "memory": MEMORY} if inspects else {}
        profile_details = {name: [*grid_columns, *further] for name, further in profiled.items()}
        profile_details |= {"ceilings": [*CEILINGS]} if inspects else {}
        all_details = {**(details or {}), **profile_details}
        return Experiment(
            name=run.__name__,
            section=section,
            title=title,
            question=question,
            compares=compares,
            description=inspect.getdoc(run) or "",
            spec=spec,
            run=run,
            presets=presets,
            columns=resolved,
            details={name: resolve(detail, identity=(RUN_ID,)) for name, detail in all_details.items()},
            grid=tuple(grid),
            summary=tuple(summary),
            answer=answer or (lambda frame: default_answer(frame, tuple(grid))),
            plan=plan or (lambda spec: ""),
            challenge=challenge,
        )

    return declare
