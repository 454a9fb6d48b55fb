"""Figures of graph rewrites: operations before and after, and the graphs themselves."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import Details, Panel
from dashboard.figures.rewrites.expression_graph import arrange, draw
from dashboard.theme import BLUE, ORANGE, layout

WRITTEN = "as written"
PLACES = (("before", ORANGE, "/"), ("after", BLUE, ""))
MAX_ROWS = 24  # bars that remain distinguishable
LAYER_HEIGHT = 54  # pixels


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Operations before and after every rule that fired, in the graph and in the compiled kernel."""
    fired = rows[rows["fired"].fillna(0) > 0].head(MAX_ROWS)
    if fired.empty:
        return []
    graph = "Operations in the graph, shared ones counted once. Every rule that fired is drawn."
    kernel = (
        "Operations per element in the kernel that tinygrad compiles. Bars of equal length: tinygrad already applies "
        "an equivalent rule, so the kernel is the same."
    )
    return [
        _bars(fired, "ops", "Operations in the graph", graph),
        _bars(fired, "kernel_ops", "Operations in the compiled kernel", kernel),
    ]


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The graph of one expression before and after each rule, with the rule's source."""
    nodes, edges = details["nodes"], details["edges"]
    sources = dict(zip(details["rules"]["variant"], details["rules"]["source"], strict=True))
    variants = [name for name in dict.fromkeys(nodes["variant"]) if name != WRITTEN]
    by_variant = rows.drop_duplicates("variant").set_index("variant")
    return [
        _side_by_side(nodes, edges, str(variant), by_variant.loc[variant], str(sources.get(variant, "")))
        for variant in variants
        if variant in by_variant.index
    ]


def _bars(fired: pd.DataFrame, column: str, title: str, caption: str) -> Panel:
    figure = go.Figure()
    labels = [f"{row['expression']}<br>{row['variant']}" for _, row in fired.iterrows()]
    for place, color, hatch in PLACES:
        values = fired[f"{column}_{place}"].tolist()
        figure.add_trace(
            go.Bar(
                name=place,
                y=labels,
                x=values,
                orientation="h",
                text=values,
                textposition="outside",
                cliponaxis=False,
                marker={"color": color, "pattern": {"shape": hatch, "fillmode": "overlay", "solidity": 0.2}},
                hovertemplate="%{y}: %{x}<extra>" + place + "</extra>",
            )
        )
    unit = "1" if column == "ops" else "per element"
    layout(figure, f"Arithmetic operations [{unit}]", "")
    figure.update_layout(height=max(260, 110 + 46 * len(labels)))
    figure.update_yaxes(autorange="reversed", tickfont={"size": 11})
    figure.update_xaxes(rangemode="tozero", dtick=max(1, int(fired[f"{column}_before"].max()) // 6))
    return Panel(title, figure, caption)


def _side_by_side(nodes: pd.DataFrame, edges: pd.DataFrame, variant: str, row: pd.Series, source: str) -> Panel:
    """Two graphs with inputs at the bottom and the result on top."""
    figure = make_subplots(
        rows=1, cols=2, subplot_titles=("before", "after"), shared_yaxes=True, horizontal_spacing=0.03
    )
    for column, name in enumerate((WRITTEN, variant), start=1):
        draw(figure, arrange(nodes[nodes["variant"] == name], edges[edges["variant"] == name]), column)
    layout(figure, "", "Distance from the inputs [operations]")
    figure.update_layout(showlegend=False, height=130 + LAYER_HEIGHT * (int(nodes["layer"].max()) + 1))
    figure.update_xaxes(visible=False, range=[-0.05, 1.05], title={"text": "place in the layer [1]"})
    figure.update_yaxes(dtick=1, showgrid=False, zeroline=False)
    times = "once" if row["fired"] == 1 else f"{row['fired']} times"
    own = " tinygrad compiles the same kernel without the rule." if pd.notna(row["already"]) and row["already"] else ""
    caption = f"{row['ops_before']} operations become {row['ops_after']}: the rule fired {times}.{own}"
    caption += " The result is on top; blue: inputs, gray: constants, each drawn where it is used."
    return Panel(f"{row['expression']}: {variant}", figure, caption, source)
