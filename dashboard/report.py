"""A run or a comparison as one HTML file that needs no network: figures, tables, machine, method."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dashboard.figures import Panel, Table
from experiments.bench.spec import Experiment
from experiments.registry import registered
from experiments.runs import comparison, remarks
from experiments.runs.clock import format_time
from experiments.runs.frames import displayed

HERE = Path(__file__)
PAGES = Environment(
    loader=FileSystemLoader(HERE.parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def of_run(experiment: Experiment[Any], run: Any, rows: pd.DataFrame, parts: Sequence[Panel | Table]) -> str:
    """The report of one run."""
    status = f"{run['status']}: {run['message']}" if run["status"] != "done" else "done"
    return _page(
        title=experiment.title,
        facts=f"Run {run['id']} · {comparison.machine(run)} · {format_time(run['created'])} · {status}",
        question=experiment.question,
        answer=experiment.answer(rows),
        remarks=remarks.remarks(run["environment"]),
        note=run["note"],
        parts=_parts(parts),
        rows=_rows(rows),
        methods=[("How it was measured", experiment.description)],
        tables=[("Parameters", _facts(run["spec"])), ("Machine", _facts(run["environment"] or {}))],
    )


def of_comparison(runs: Sequence[Any], names: Mapping[str, str], rows: pd.DataFrame, panels: Sequence[Panel]) -> str:
    """The report of several runs side by side."""
    differences = []
    for where, title in (("spec", "Parameters"), ("environment", "Machine and versions")):
        unlike, like = comparison.differences(runs, where)
        differences.append((f"{title} that differ", _table(unlike.rename(columns=dict(names)))))
        differences.append((f"{title} that are the same", _table(like.iloc[:, :1].set_axis(["all runs"], axis=1))))
    compared = [registered()[name] for name in dict.fromkeys(run["experiment"] for run in runs)]
    return _page(
        title="Comparison",
        facts=f"{len(runs)} runs: {', '.join(names.values())}",
        machines=len({comparison.machine(run) for run in runs}),
        parts=_parts(panels),
        differences=differences,
        rows=_rows(rows),
        methods=[(f"How it was measured: {one.title}", one.description) for one in compared],
    )


def _page(**parts: Any) -> str:
    return PAGES.get_template(HERE.with_suffix(".html").name).render(parts)


def _parts(parts: Sequence[Panel | Table]) -> Iterator[dict[str, Any]]:
    """Figures with captions and code, and tables; the first figure includes plotly for all."""
    plotly = True
    for part in parts:
        if isinstance(part, Table):
            yield {"title": part.title, "body": _table(part.frame, classes="words")}
            continue
        figure = part.figure.to_html(full_html=False, include_plotlyjs=plotly, config={"displaylogo": False})
        plotly = False
        yield {"title": part.title, "body": Markup(figure), "caption": part.caption, "code": part.code}  # noqa: S704 - plotly escapes


def _rows(rows: pd.DataFrame) -> Markup:
    return _table(displayed(rows).dropna(axis="columns", how="all"), index=False)


def _table(frame: pd.DataFrame, index: bool = True, classes: str = "") -> Markup:
    """A frame as an HTML table, escaped by pandas; empty for an empty frame."""
    if frame.empty:
        return Markup()
    with pd.option_context("display.max_colwidth", None):  # the default truncates texts
        shown = frame.to_html(
            index=index, na_rep="", border=0, classes=classes, float_format=lambda value: f"{value:.6g}"
        )
    return Markup(shown)  # noqa: S704 - pandas escapes


def _facts(facts: Mapping[str, Any]) -> Markup:
    texts = {name: one if isinstance(one, str) else json.dumps(one) for name, one in facts.items()}
    return _table(pd.Series(texts, dtype="str").to_frame("value"))
