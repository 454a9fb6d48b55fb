"""A run or a comparison as one HTML file that needs no network: figures, tables, machine, method."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dashboard.figures import Panel, Table
from experiments.bench.spec import Experiment
from experiments.registry import registered
from experiments.runs import comparison
from experiments.runs.clock import format_time

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
h1 { margin-bottom: 0 } .quiet { color: #555 } .answer { font-size: 1.15rem; font-weight: 600 }
.wide { overflow-x: auto } .lines { white-space: pre-wrap }
table { border-collapse: collapse; font-size: 13px } 
td, th { border: 1px solid #ccc; padding: 2px 8px; text-align: right } .words td { text-align: left }
th { background: #f3f3f3 } td:first-child, th:first-child { text-align: left }
"""  # fmt: skip
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def of_run(experiment: Experiment[Any], run: Any, rows: pd.DataFrame, parts: Sequence[Panel | Table]) -> str:
    """The report of one run."""
    ended = f"{run['status']}: {run['message']}" if run["status"] != "done" else "done"
    shown = [
        _head(
            experiment.title, f"Run {run['id']} · {comparison.machine(run)} · {format_time(run['created'])} · {ended}"
        ),
        f"<p>{_text(experiment.question)}</p>",
        f"<p class='answer'>{_text(experiment.answer(rows))}</p>",
        _note(run),
        _figures(parts),
        "<h2>Rows</h2>",
        _table(rows.dropna(axis="columns", how="all"), index=False),
        f"<h2>How it was measured</h2><p class='lines'>{_text(experiment.description)}</p>",
        f"<h2>Parameters</h2>{_facts(run['spec'])}<h2>Machine</h2>{_facts(run['environment'] or {})}",
    ]
    return _page(experiment.title, shown)


def of_comparison(runs: Sequence[Any], names: Mapping[str, str], rows: pd.DataFrame, panels: Sequence[Panel]) -> str:
    """The report of several runs side by side."""
    parts = [_head("Comparison", f"{len(runs)} runs: {', '.join(names.values())}")]
    if len({comparison.machine(run) for run in runs}) > 1:
        parts.append("<p>Runs of unlike machines are shown apart, on the same axes, and never pooled.</p>")
    parts.append(_figures(panels))
    for where, title in (("spec", "Parameters"), ("environment", "Machine and versions")):
        unlike, like = comparison.differences(runs, where)
        parts.append(f"<h2>{title} that differ</h2>{_table(unlike.rename(columns=dict(names)))}")
        parts.append(f"<h2>{title} that are the same</h2>{_table(like.iloc[:, :1].set_axis(['all runs'], axis=1))}")
    parts += ["<h2>Rows</h2>", _table(rows.dropna(axis="columns", how="all"), index=False)]
    for experiment in (registered()[name] for name in dict.fromkeys(run["experiment"] for run in runs)):
        parts.append(f"<h2>How it was measured: {_text(experiment.title)}</h2>")
        parts.append(f"<p class='lines'>{_text(experiment.description)}</p>")
    return _page("Comparison", parts)


def _page(title: str, parts: Sequence[str]) -> str:
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{_text(title)} · tinygrad lab</title>"
        f"<meta name='viewport' content='width=device-width'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>"
    )


def _head(title: str, facts: str) -> str:
    return f"<h1>{_text(title)}</h1><p class='quiet'>{_text(facts)} · tinygrad lab</p>"


def _note(run: Any) -> str:
    return f"<p class='lines'>{_text(run['note'])}</p>" if run["note"] else ""


def _figures(parts: Sequence[Panel | Table]) -> str:
    """The figures with their captions and code, and tables; the first figure brings plotly along for all."""
    shown, plotly = [], True
    for part in parts:
        shown.append(f"<h2>{_text(part.title)}</h2>")
        if isinstance(part, Table):
            shown.append(_table(part.frame, classes="words"))
            continue
        shown.append(part.figure.to_html(full_html=False, include_plotlyjs=plotly, config={"displaylogo": False}))
        shown.append(f"<p class='quiet'>{_text(part.caption)}</p>")
        shown.append(f"<pre>{_text(part.code)}</pre>" if part.code else "")
        plotly = False
    return "".join(shown)


def _table(frame: pd.DataFrame, index: bool = True, classes: str = "") -> str:
    with pd.option_context("display.max_colwidth", None):  # else it cuts texts off
        shown = frame.to_html(
            index=index, na_rep="", border=0, classes=classes, float_format=lambda value: f"{value:.6g}"
        )
    return f"<div class='wide'>{shown}</div>" if len(frame) else "<p class='quiet'>none</p>"


def _facts(facts: Mapping[str, Any]) -> str:
    said = pd.Series(
        {name: one if isinstance(one, str) else json.dumps(one) for name, one in facts.items()}, dtype="str"
    )
    return _table(said.to_frame("value"))


def _text(text: str) -> str:
    return html.escape(text)
