"""The form of a spec, generated from its fields and synchronized with the page's URL and the run shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard import services
from dashboard.links import RUN
from dashboard.safe_render import escape_markdown
from experiments.bench.errors import BadInput
from experiments.bench.machine.device import AUTO
from experiments.bench.spec import Experiment, FieldInfo, Spec, fields, parse
from experiments.runs.team import AT, WorkerEndpoint

COLUMNS = 4  # of the form on a wide screen; a narrow screen stacks them


@dataclass(frozen=True)
class FormState:
    """The form's content: a valid spec or its problems, and the selected host, empty for this machine."""

    spec: Spec | None
    problems: tuple[str, ...]
    host: str


def form(experiment: Experiment[Any], shown: Spec | None, host: str = "") -> FormState:
    """Draws the form and writes its state to the URL. `shown` and `host`: spec and host of the run on the page."""
    known = fields(experiment.spec)
    base = shown or experiment.spec()
    place = str(WorkerEndpoint(base.device, host)) if host and services.dispatcher() else base.device
    _follow_url(experiment, known, base, place)
    _presets(experiment, known)
    for start in range(0, len(known), COLUMNS):  # row by row, so that Tab and narrow screens keep the order
        for column, info in zip(st.columns(COLUMNS), list(known.values())[start : start + COLUMNS], strict=False):
            with column:
                _widget(experiment, info)
    texts = _texts(experiment, known)
    device, _, chosen_host = texts["device"].partition(AT)
    try:
        spec, problems = (
            parse(experiment.spec, texts | {"device": device}),
            st.session_state.get(_key(experiment, "?"), ()),
        )
    except BadInput as refused:
        spec, problems = None, refused.problems
    _write_url(experiment, texts, base, place)
    return FormState(spec, problems, chosen_host)


def note_change(experiment: Experiment[Any]) -> None:
    """Called by the widgets when they change: the form is newer than the URL that the browser sent with the change.

    The browser may not have received the URL of an earlier change yet. Without this note that old URL would look like
    the browser's Back button, and would fill the form with what it held before.
    """
    st.session_state[_key(experiment, "changed")] = True


def _key(experiment: Experiment[Any], name: str) -> str:
    return f"{experiment.name}:{name}"


def _field_key(experiment: Experiment[Any], field: str) -> str:
    """The key of a field's widget, a new one each time the form is filled.

    The browser sends the content of all widgets with each click. What it sends before it has received a filled form
    belongs to the earlier widgets, and does not overwrite the new content.
    """
    return f"{experiment.name}:{field}:{st.session_state.get(_key(experiment, 'filled'), 0)}"


def _texts(experiment: Experiment[Any], known: Mapping[str, FieldInfo]) -> dict[str, str]:
    """The form's content as texts, by field."""
    return {name: _text(st.session_state[_field_key(experiment, name)]) for name in known}


def _follow_url(experiment: Experiment[Any], known: Mapping[str, FieldInfo], base: Spec, place: str) -> None:
    """Fills the form from the URL if it changed outside this form: opened, edited, browser Back."""
    url = st.query_params.to_dict()
    lost = any(_field_key(experiment, name) not in st.session_state for name in known)
    changed = st.session_state.pop(_key(experiment, "changed"), False)
    if not lost and (changed or url == st.session_state.get(_key(experiment, "url"))):
        return
    texts, problems = {name: base.text(name) for name in known} | {"device": place}, []
    for name, text in url.items():
        if name == RUN:
            continue
        try:
            parse(experiment.spec, {name: text.partition(AT)[0] if name == "device" else text})
        except BadInput as refused:
            problems += refused.problems
        else:
            texts[name] = text
    fill(experiment, texts)
    st.session_state[_key(experiment, "?")] = tuple(f"in the link, {problem}" for problem in problems)


def fill(experiment: Experiment[Any], texts: Mapping[str, str]) -> None:
    """Sets the form's widgets; call it before they are drawn."""
    filled = _key(experiment, "filled")
    st.session_state[filled] = st.session_state.get(filled, 0) + 1
    for name, info in fields(experiment.spec).items():
        st.session_state[_field_key(experiment, name)] = _widget_value(info, texts[name])
    st.session_state[_key(experiment, "?")] = ()


def _widget_value(info: FieldInfo, text: str) -> Any:
    if info.is_list or info.kind in ("text", "choice"):
        return text
    if info.kind == "boolean":
        return text.lower() == "true"
    return int(text) if info.kind == "integer" else float(text)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _presets(experiment: Experiment[Any], known: Mapping[str, FieldInfo]) -> None:
    """One button per preset; the preset equal to the form's content is selected."""
    texts = {name: {field: one.text(field) for field in known} for name, one in experiment.presets.items()}
    now = _texts(experiment, known)
    key = _key(experiment, "preset")
    st.session_state[key] = next((name for name, one in texts.items() if {**one, "device": now["device"]} == now), None)

    def chosen() -> None:
        note_change(experiment)
        if name := st.session_state[key]:
            fill(experiment, {**texts[name], "device": now["device"]})

    st.pills(
        "Presets",
        list(texts),
        key=key,
        on_change=chosen,
        help="A preset is a named spec: selecting one fills the form below.",
    )


def _widget(experiment: Experiment[Any], info: FieldInfo) -> None:
    drawn: Any = {"key": _field_key(experiment, info.name), "on_change": note_change, "args": (experiment,)}
    drawn["help"] = f"{info.description}. Allowed: {info.allowed}."
    if info.name == "device":
        _device(info, drawn)
    elif info.kind == "choice" and not info.is_list:
        st.selectbox(info.title, info.choices, **drawn)
    elif info.kind == "boolean":
        st.toggle(info.title, **drawn)
    elif info.kind in ("integer", "number") and not info.is_list:
        _number(info, drawn)
    else:
        st.text_input(info.title, max_chars=400, **drawn)


def _number(info: FieldInfo, drawn: Any) -> None:
    kind: Any = int if info.kind == "integer" else float
    low = None if info.low is None else kind(info.low)
    high = None if info.high is None else kind(info.high)
    step = 1 if info.kind == "integer" else float(f"{(info.low or 0.1):.0e}")
    shape = None if info.kind == "integer" else "%g"
    st.number_input(info.title, low, high, step=step, format=shape, **drawn)


def _device(info: FieldInfo, drawn: Any) -> None:
    """The working devices of this machine or the team; an unavailable device from a link is refused at Run."""
    problems = _places()
    working = [name for name, problem in problems.items() if not problem]
    first = working[0] if working else "no working device"
    options = list(dict.fromkeys([AUTO, *problems, st.session_state[drawn["key"]]]))

    def shown(name: str) -> str:
        return f"auto ({first})" if name == AUTO else f"{name} (unavailable)" if problems.get(name) else name

    st.selectbox(info.title, options, format_func=shown, **(drawn | {"help": f"{info.description}."}))
    if problem := problems.get(st.session_state[drawn["key"]]):
        st.caption(escape_markdown(problem))


def _places() -> dict[str, str]:
    """The selectable devices, each with the reason why it cannot run anything now; empty if it can."""
    if (dispatcher := services.dispatcher()) is not None:
        return {str(one.endpoint): one.problem for one in dispatcher.workers.values()}
    return {probe.device: "" for probe in services.candidates() if probe.works}


def _write_url(experiment: Experiment[Any], texts: Mapping[str, str], base: Spec, place: str) -> None:
    """The URL contains the fields that differ from the run shown, or from the defaults if there is none."""
    usual = {name: _text(_typed(base, name)) for name in texts} | {"device": place}
    url = {name: text for name, text in texts.items() if text != usual[name]}
    if run_id := st.query_params.get(RUN):
        url[RUN] = run_id
    if url != st.query_params.to_dict():
        st.query_params.from_dict(url)
    st.session_state[_key(experiment, "url")] = url


def _typed(base: Spec, name: str) -> Any:
    value = getattr(base, name)
    return value if isinstance(value, (bool, int, float)) else base.text(name)
