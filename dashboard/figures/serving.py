"""Figures of the serving experiment."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import Details, Panel
from dashboard.figures.common import points
from dashboard.theme import BLUE, GREEN, GREY, HEIGHT, ORANGE, PURPLE, RED, SKY, Style, layout, log_axis
from experiments.deployment.serving.answer import at_expected_rate

BY_ORDER = (
    Style(GREY, "circle", "solid"),
    Style(BLUE, "diamond", "dash"),
    Style(ORANGE, "square", "dot"),
    Style(GREEN, "triangle-up", "dashdot"),
    Style(PURPLE, "cross", "longdash"),
    Style(SKY, "x", "longdashdot"),
    Style(RED, "star", "solid"),
)
KINDS = {"plain path": 3, "no batching": 0, "drain": 1, "wait": 2}  # in a name; indexes of BY_ORDER
PARTS = {  # in the order of a request's path, with a hatch next to the color
    "unsent_ms": ("not sent yet", GREY, ""),
    "transport_ms": ("HTTP and loopback", SKY, ""),
    "gather_ms": ("batch formation delay", ORANGE, "/"),
    "queue_ms": ("queue delay", RED, "x"),
    "handover_ms": ("IPC", PURPLE, "."),
    "compute_ms": ("compute", BLUE, "\\"),
}
OBJECTIVE = {"color": GREY, "dash": "dot"}
PERCENTILES = {"p50_ms": ("median", "circle"), "p95_ms": ("95th percentile", "diamond"), "p99_ms": ("99th", "x")}


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The policies at the expected rate, latency against load, edge against cloud, the execution path in tinygrad."""
    if rows.empty:
        return []
    opened = rows[(rows["arrival"] == "open") & rows["p50_ms"].notna()]
    expected = at_expected_rate(opened)
    drawn = [] if expected.empty else [_expected(expected, looks(rows))]
    if opened["rate_per_s"].nunique() > 1:
        drawn.append(_load(opened, looks(rows)))
    closed = rows[rows["arrival"] == "closed"]
    if len(closed):
        drawn.append(_clients(closed, looks(rows)))
    if {"single", "offline"} <= set(rows["arrival"]):
        drawn.append(_edge_and_cloud(rows, looks(rows)))
    paths = details.get("paths", pd.DataFrame())
    return drawn if paths.empty else [*drawn, _paths(paths)]


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """One load: the latency breakdown, the distribution of the latencies, and the requests over time."""
    drawn = []
    shown = rows[rows["mean_ms"].notna()]
    if len(shown):
        drawn.append(_breakdown(shown))
    for name, draw in (("distribution", _distribution), ("requests", _timeline)):
        if len(details.get(name, pd.DataFrame())):
            drawn.append(draw(details[name], looks(details[name].sort_values("variant"))))
    return drawn


def looks(frame: pd.DataFrame) -> dict[str, Style]:
    """A style for each variant: that of its kind, or by order where several batch sizes share a kind."""
    names = list(dict.fromkeys(frame["variant"]))
    kinds = [next((place for kind, place in KINDS.items() if kind in name), 0) for name in names]
    order = kinds if len(set(kinds)) == len(kinds) else range(len(names))
    return {name: BY_ORDER[number % len(BY_ORDER)] for name, number in zip(names, order, strict=True)}


def _expected(expected: pd.DataFrame, look: dict[str, Style]) -> Panel:
    rate, there = expected["rate_per_s"].iloc[0], expected.iloc[::-1]
    figure = go.Figure()
    for column, (name, symbol) in PERCENTILES.items():
        chosen = there[there[column].notna()]
        if chosen.empty:
            continue
        low, high = (chosen["p50_lo_ms"], chosen["p50_hi_ms"]) if column == "p50_ms" else (chosen[column],) * 2
        key = {"mode": "markers", "marker": {"symbol": symbol, "color": GREY}}
        _key(figure, name, there["variant"].iloc[0], **key)  # the marks have the colors of their policies
        trace = go.Scatter(
            name=name,
            showlegend=False,
            x=chosen[column].tolist(),
            y=chosen["variant"].tolist(),
            error_x={
                "type": "data",
                "symmetric": False,
                "color": GREY,
                "array": (high - chosen[column]).fillna(0).tolist(),
                "arrayminus": (chosen[column] - low).fillna(0).tolist(),
            },
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": [look[one].color for one in chosen["variant"]]},
            hovertemplate=f"%{{y}}: {name} %{{x:.3g}} ms<extra></extra>",
        )
        figure.add_trace(trace)
    layout(figure, "Latency from the scheduled arrival [ms]", "")
    log_axis(figure, "x", pd.concat([there[name] for name in (*PERCENTILES, "objective_ms")]))
    for objective in there["objective_ms"].dropna().unique()[:1]:
        figure.add_vline(x=objective, line=OBJECTIVE)
        _key(figure, "objective", there["variant"].iloc[0], mode="lines", line=OBJECTIVE)
    figure.update_layout(height=max(260, 150 + 34 * len(there)), showlegend=True)
    caption = (
        f"The policies at {rate:g} requests/s: further left is better, and the last mark of a row "
        "should be left of the dotted latency SLO. "
        "Percentiles that need more requests are left out; the median has its 95% interval."
    )
    return Panel(f"At {rate:g} requests per second", figure, caption)


def _key(figure: go.Figure, name: str, y: object, **look: object) -> None:
    """A legend entry without marks; `y` is a value of the axis, whose type plotly infers from its first trace."""
    figure.add_trace(go.Scatter(name=name, x=[None], y=[y], **look))


def _load(opened: pd.DataFrame, look: dict[str, Style]) -> Panel:
    figure = go.Figure()
    opened = opened.drop_duplicates(["variant", "rate_per_s"], keep="last")  # a search may try a rate twice
    for variant, chosen in opened.groupby("variant", sort=False):
        ordered = chosen.sort_values("rate_per_s")
        tail = ordered[ordered["p99_ms"].notna()]
        figure.add_trace(
            go.Scatter(
                name=str(variant),
                x=tail["rate_per_s"].tolist(),
                y=tail["p99_ms"].tolist(),
                mode="lines+markers",
                line={"color": look[variant].color, "dash": look[variant].dash},
                marker={"symbol": look[variant].symbol, "size": 9},
                customdata=tail[["in_time", "mean_batch"]].astype("float64").to_numpy(),
                hovertemplate="%{x:,.0f}/s: p99 %{y:.3g} ms, %{customdata[0]:.1%} within the SLO, mean batch "
                "%{customdata[1]:.3g}<extra>" + str(variant) + "</extra>",
            )
        )
        thin = Style(look[variant].color, "line-ew-open", "dot")
        points(figure, ordered, "rate_per_s", "p50_ms", "p50_lo_ms", "p50_hi_ms", f"{variant}: median", "ms", thin)
        figure.data[-1].update(showlegend=False, line={"width": 1}, marker={"size": 5})
    layout(figure, "Scheduled arrivals [1/s]", "Latency [ms]")
    log_axis(figure, "x", opened["rate_per_s"])
    log_axis(figure, "y", opened[["p50_ms", "p99_ms"]].stack())
    for objective in opened["objective_ms"].dropna().unique()[:1]:
        figure.add_hline(y=objective, line=OBJECTIVE)
        _key(figure, "objective", objective, mode="lines", line=OBJECTIVE)
    caption = (
        "Lines with marks: 99th percentile; thin dotted lines: median with its 95% interval. Where a line rises, the "
        "server is saturated; the dotted horizontal line is the latency SLO. Both axes logarithmic."
    )
    return Panel("Latency against load", figure, caption)


def _clients(closed: pd.DataFrame, look: dict[str, Style]) -> Panel:
    figure = go.Figure()
    for variant, chosen in closed.groupby("variant", sort=False):
        ordered = chosen.sort_values("clients")
        figure.add_trace(
            go.Scatter(
                name=str(variant),
                x=ordered["achieved_per_s"].tolist(),
                y=ordered["p50_ms"].tolist(),
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": (ordered["p50_hi_ms"] - ordered["p50_ms"]).fillna(0).tolist(),
                    "arrayminus": (ordered["p50_ms"] - ordered["p50_lo_ms"]).fillna(0).tolist(),
                },
                text=[f"{clients}" for clients in ordered["clients"]],
                textposition="top center",
                mode="lines+markers+text",
                cliponaxis=False,
                line={"color": look[variant].color, "dash": look[variant].dash},
                marker={"symbol": look[variant].symbol, "size": 9},
                customdata=ordered[["mean_batch"]].astype("float64").to_numpy(),
                hovertemplate="%{text} clients: %{x:,.0f}/s, median %{y:.3g} ms, mean batch %{customdata[0]:.3g}"
                "<extra>" + str(variant) + "</extra>",
            )
        )
    layout(figure, "Responses [1/s]", "Median latency [ms]")
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(rangemode="tozero")
    caption = (
        "Each point is a number of clients (its label) that send the next request on each response; the median has "
        "its 95% interval. Further right and down is better."
    )
    return Panel("Throughput and latency by clients", figure, caption)


def _edge_and_cloud(rows: pd.DataFrame, look: dict[str, Style]) -> Panel:
    figure = make_subplots(rows=2, cols=1, vertical_spacing=0.3)
    for place, (arrival, column) in enumerate((("single", "p50_ms"), ("offline", "achieved_per_s")), start=1):
        chosen = rows[rows["arrival"] == arrival].drop_duplicates("variant").iloc[::-1]
        interval = {}
        if arrival == "single":
            above, below = chosen["p50_hi_ms"] - chosen["p50_ms"], chosen["p50_ms"] - chosen["p50_lo_ms"]
            ends = {"array": above.fillna(0).tolist(), "arrayminus": below.fillna(0).tolist()}
            interval = {"error_x": {"type": "data", "symmetric": False, "color": GREY, **ends}}
        bars = go.Bar(
            y=chosen["variant"].tolist(),
            x=chosen[column].tolist(),
            orientation="h",
            marker={"color": [look[one].color for one in chosen["variant"]]},
            text=[f"{value:,.3g}" if value < 1000 else f"{value / 1000:,.3g}k" for value in chosen[column]],
            textposition="auto",
            hovertemplate="%{y}: %{x:,.4g}<extra></extra>",
            showlegend=False,
            **interval,
        )
        figure.add_trace(bars, row=place, col=1)
    layout(figure, "Edge: median latency [ms]", "")
    figure.update_layout(height=max(320, 200 + 56 * rows["variant"].nunique()))
    figure.update_xaxes(title="Cloud: throughput [rows/s]", row=2, col=1)
    figure.update_yaxes(automargin=True)
    objective = rows["objective_ms"].iloc[0]
    caption = (
        "The same model in both settings. Top (shorter is better): median latency with one request at a time, where "
        f"waiting for a batch is wasted time (the SLO is {objective:g} ms). Bottom (longer is better): rows per second "
        "when all requests are sent at the start, each as large as the policy's largest batch."
    )
    return Panel("Edge against cloud", figure, caption)


def _paths(paths: pd.DataFrame) -> Panel:
    figure = go.Figure()
    colors = {"numpy to tensor": ORANGE, "replay": BLUE, "tensor to numpy": PURPLE, "all of it": GREEN}
    patterns = {"numpy to tensor": "/", "replay": "", "tensor to numpy": "x", "all of it": "."}
    bars = paths[(paths["path"] == "fast") | (paths["part"] != "all of it")]
    for part, chosen in bars.groupby("part", sort=False):
        figure.add_trace(
            go.Bar(
                name=part if part != "all of it" else "fast: kernels on the captured buffers",
                y=[
                    f"{path}, {rows} row{'s' if rows > 1 else ''}" for path, rows in chosen[["path", "rows"]].to_numpy()
                ],
                x=chosen["latency_ms"].tolist(),
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "color": GREY,
                    "array": (chosen["latency_hi_ms"] - chosen["latency_ms"]).fillna(0).tolist(),
                    "arrayminus": (chosen["latency_ms"] - chosen["latency_lo_ms"]).fillna(0).tolist(),
                },
                orientation="h",
                marker={"color": colors.get(str(part), GREY), "pattern": {"shape": patterns.get(str(part), "")}},
                hovertemplate=f"%{{y}}, {part}: %{{x:.3g}} ms<extra></extra>",
            )
        )
    layout(figure, "Time of one batch [ms]", "")
    figure.update_layout(barmode="stack", height=300)
    caption = (
        "One batch from numpy to numpy in one process: the time that plain tinygrad code spends on tensors, and the "
        "fast path without them. Medians of each part with their 95% intervals."
    )
    return Panel("The execution path in tinygrad", figure, caption)


def _breakdown(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    shown = rows.drop_duplicates("variant").iloc[::-1]
    for column, (name, color, pattern) in PARTS.items():
        figure.add_trace(
            go.Bar(
                name=name,
                y=shown["variant"].tolist(),
                x=shown[column].tolist(),
                orientation="h",
                marker={"color": color, "pattern": {"shape": pattern}},
                hovertemplate=f"%{{y}}, {name}: %{{x:.3g}} ms<extra></extra>",
            )
        )
    layout(figure, "Mean time of a request [ms]", "")
    figure.update_layout(barmode="stack", height=max(260, 150 + 40 * len(shown)))
    caption = "Breakdown of the mean latency; the server reports the parts in each response."
    return Panel("Latency breakdown", figure, caption)


def _distribution(frame: pd.DataFrame, look: dict[str, Style]) -> Panel:
    figure = go.Figure()
    for variant, chosen in frame.groupby("variant", sort=False):
        figure.add_trace(
            go.Scatter(
                name=str(variant),
                x=chosen["request_ms"].tolist(),
                y=(chosen["share"] * 100).tolist(),
                mode="lines",
                line={"color": look[variant].color, "dash": look[variant].dash},
                hovertemplate="%{y:.4g}% within %{x:.3g} ms<extra>" + str(variant) + "</extra>",
            )
        )
    layout(figure, "Latency [ms]", "Share of the responses [%]")
    log_axis(figure, "x", frame["request_ms"])
    caption = "The share of responses within a time; a line ends where requests are too few for more percentiles."
    return Panel("Distribution of latencies", figure, caption)


def _timeline(frame: pd.DataFrame, look: dict[str, Style]) -> Panel:
    titles = {"request_ms": "Latency [ms]", "in_flight": "In flight [1]", "rows": "Batch [rows]"}
    figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for variant, chosen in frame.groupby("variant", sort=False):
        ordered = chosen.sort_values("arrived_ms")
        for place, column in enumerate(titles, start=1):
            trace = go.Scatter(
                name=str(variant),
                legendgroup=str(variant),
                showlegend=place == 1,
                x=ordered["arrived_ms"].tolist(),
                y=ordered[column].tolist(),
                mode="markers",
                marker={"color": look[variant].color, "symbol": look[variant].symbol, "size": 4},
                hovertemplate=f"at %{{x:.0f}} ms: %{{y:.4g}}<extra>{variant}</extra>",
            )
            figure.add_trace(trace, row=place, col=1)
    layout(figure, "", titles["request_ms"])
    figure.update_layout(height=HEIGHT + 160)
    for place, title in enumerate(titles.values(), start=1):
        figure.update_yaxes(title=title, automargin=True, row=place, col=1)
    figure.update_yaxes(type="log", row=1, col=1)
    figure.update_xaxes(title="Scheduled arrival since the start [ms]", row=len(titles), col=1)
    caption = (
        "Some of the requests, always with the slowest ones, in order of arrival: latency (logarithmic), the number of "
        "requests in flight at that moment, and the batch size of each. A stall is a steep edge followed by a slope."
    )
    return Panel("Requests over time", figure, caption)
