"""Figures of the knowledge distillation experiment."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import Details, Panel
from dashboard.theme import BLUE, GREY, HEIGHT, RED, layout, style
from experiments.bench.columns import INCONCLUSIVE

ALONE, TEACHER = "student alone", "teacher"
BLUES = [[0, "#E3EFF7"], [1, BLUE]]  # opaque, so that the text in a cell is readable in light and dark
REDS = [[0, "#FBEFE8"], [1, RED]]
DIVERGING = [[0, RED], [0.5, "#F4F4F4"], [1, BLUE]]
FORMS = {"squared": "with T²", "unsquared": "without T²"}


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The gain of each configuration, its map over temperature and alpha, learning curves, soft targets, confusion."""
    taught = rows[rows["gain"].notna()]
    drawn = []
    if len(taught):
        drawn.append(_gains(taught, details))
        drawn.append(_accuracy(rows))
    if len(taught[["temperature", "alpha"]].drop_duplicates()) > 1:
        drawn += [_map(taught, "accuracy"), _map(taught, "gain")]
    drawn += [_learning(rows, details)] if _has(details, "learning") else []
    drawn += [_soft_targets(details)] if _has(details, "targets") and _has(details, "digits") else []
    drawn += [_confusion(taught, details)] if _has(details, "confusion") else []
    return drawn


def _has(details: Details, name: str) -> bool:
    return name in details and not details[name].empty


def _best(taught: pd.DataFrame) -> str | None:
    """The configuration that the answer names: the best on the validation images."""
    return None if taught.empty else str(taught.nlargest(1, "validation_accuracy")["variant"].iloc[0])


def _gains(taught: pd.DataFrame, details: Details) -> Panel:
    """One line per configuration: mean and interval, and each seed as a small mark."""
    figure = go.Figure()
    variants = taught["variant"].astype(str).tolist()[::-1]
    if _has(details, "seeds"):
        seeds = details["seeds"]
        seeds = seeds[seeds["gain"].notna() & seeds["variant"].isin(variants)]
        figure.add_trace(
            go.Scatter(
                name="each seed",
                x=(seeds["gain"] * 100).tolist(),
                y=seeds["variant"].tolist(),
                mode="markers",
                marker={"color": GREY, "symbol": "line-ns-open", "size": 12, "line": {"width": 2}},
                customdata=seeds["seed"].tolist(),
                hovertemplate="seed %{customdata}: %{x:+.2f} points<extra></extra>",
            )
        )
    for form, chosen in taught.groupby("form", sort=False):
        look = style(FORMS["unsquared"] if form == "unsquared" else "distilled")
        figure.add_trace(
            go.Scatter(
                name=f"mean and 95% interval, {FORMS.get(str(form), form)}",
                x=(chosen["gain"] * 100).tolist(),
                y=chosen["variant"].tolist(),
                mode="markers",
                marker={"color": look.color, "symbol": look.symbol, "size": 11},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": ((chosen["gain_hi"] - chosen["gain"]) * 100).tolist(),
                    "arrayminus": ((chosen["gain"] - chosen["gain_lo"]) * 100).tolist(),
                    "thickness": 2,
                    "width": 6,
                },
                hovertemplate="%{y}: %{x:+.2f} points<extra></extra>",
            )
        )
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    layout(figure, "Gain [percentage points]", "")
    figure.update_yaxes(categoryorder="array", categoryarray=variants)
    figure.update_layout(height=max(300, 170 + 34 * len(variants)))
    caption = (
        "Test accuracy above the student alone of the same seed. Right of 0 the teacher helped; an interval "
        "that contains 0 is inconclusive. Student's t interval over the seeds; each seed is drawn."
    )
    return Panel("What the teacher adds", figure, caption)


def _accuracy(rows: pd.DataFrame) -> Panel:
    """The accuracy of each model against the size of its file."""
    figure = go.Figure()
    best = _best(rows[rows["gain"].notna()])
    for variant in (TEACHER, ALONE, best):
        chosen = rows[rows["variant"] == variant]
        if chosen.empty:
            continue
        one, look = chosen.iloc[0], style(str(variant))
        figure.add_trace(
            go.Scatter(
                name=str(variant),
                x=[one["size_bytes"] / 1e3],
                y=[one["accuracy"] * 100],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [(one["accuracy_hi"] - one["accuracy"]) * 100],
                    "arrayminus": [(one["accuracy"] - one["accuracy_lo"]) * 100],
                },
                mode="markers",
                marker={"color": look.color, "symbol": look.symbol, "size": 12},
                hovertemplate=f"{variant}: %{{y:.2f}}%, %{{x:,.0f}} kB<extra></extra>",
            )
        )
    layout(figure, "File that restores the model [kB]", "Test accuracy [%]")
    figure.update_xaxes(rangemode="tozero")
    caption = (
        "Up and to the left is better. Intervals are those of 10,000 test images (Wilson), which all models share: "
        "whether the student gained follows from the paired differences, not from these intervals."
    )
    return Panel("Accuracy against size", figure, caption)


def _map(taught: pd.DataFrame, column: str) -> Panel:
    """Heat maps of accuracy or gain over temperature and alpha, one per form of the loss."""
    forms = [str(form) for form in taught["form"].unique()]
    titles = [FORMS.get(form, form) for form in forms] if len(forms) > 1 else None
    figure = make_subplots(rows=len(forms), cols=1, subplot_titles=titles, shared_xaxes=True, vertical_spacing=0.12)
    shown = taught.assign(percent=taught[column] * 100)
    for place, form in enumerate(forms, start=1):
        figure.add_trace(_cells(shown[shown["form"] == form], signed=column == "gain"), row=place, col=1)
    layout(figure, "Temperature T [1]", "")
    figure.update_xaxes(type="category", showgrid=False, title=None)
    figure.update_xaxes(title="Temperature T [1]", row=len(forms), col=1)
    figure.update_yaxes(title="Alpha [1]", type="category", showgrid=False)
    figure.update_layout(height=HEIGHT if len(forms) == 1 else 480)
    if column == "accuracy":
        figure.update_layout(coloraxis={"colorscale": BLUES, "colorbar": {"title": "%", "thickness": 12}})
        caption = "Mean test accuracy of the seeds [%]; alpha is the teacher's weight in the loss."
        return Panel("Accuracy by temperature and alpha", figure, caption)
    most = max(0.01, float(shown["percent"].abs().max()))
    bar = {"title": "points", "thickness": 12}
    figure.update_layout(coloraxis={"colorscale": DIVERGING, "cmin": -most, "cmax": most, "colorbar": bar})
    caption = "Mean gain over the student alone [percentage points]; a question mark: its 95% interval contains 0."
    return Panel("Gain by temperature and alpha", figure, caption)


def _cells(shown: pd.DataFrame, signed: bool) -> go.Heatmap:
    """The heat map of one loss form (squared or unsquared), with numbers; an inconclusive gain gets a question mark."""
    labels = shown["percent"].map(lambda percent: f"{percent:{'+' if signed else ''}.2f}")
    doubt = shown["gain_verdict"].eq(INCONCLUSIVE).map({True: "?" if signed else "", False: ""})
    keys = {"index": "alpha", "columns": "temperature", "aggfunc": "first"}
    table = shown.pivot_table(values="percent", **keys)
    text = shown.assign(label=labels + doubt).pivot_table(values="label", **keys)
    return go.Heatmap(
        x=[f"{temperature:g}" for temperature in table.columns],
        y=[f"{alpha:g}" for alpha in table.index],
        z=table.to_numpy().tolist(),
        text=text.fillna("").to_numpy().tolist(),
        texttemplate="%{text}",
        coloraxis="coloraxis",
        xgap=3,
        ygap=3,
        hovertemplate="T = %{x}, alpha = %{y}: %{text}<extra></extra>",
    )


def _learning(rows: pd.DataFrame, details: Details) -> Panel:
    """Validation accuracy by training step: mean and range of the seeds."""
    curves = details["learning"]
    taught = rows[rows["gain"].notna()]
    variants = [ALONE, *(_best(same) for _, same in taught.groupby("form", sort=False))]
    figure = go.Figure()
    for variant in variants:
        steps = curves[curves["variant"] == variant].groupby("step")["validation_accuracy"].agg(["mean", "min", "max"])
        steps, look = steps * 100, style(str(variant))
        figure.add_trace(
            go.Scatter(
                name=str(variant),
                x=steps.index.tolist(),
                y=steps["mean"].tolist(),
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": (steps["max"] - steps["mean"]).tolist(),
                    "arrayminus": (steps["mean"] - steps["min"]).tolist(),
                    "thickness": 1,
                    "width": 3,
                },
                mode="lines+markers",
                line={"color": look.color, "dash": look.dash},
                marker={"color": look.color, "symbol": look.symbol, "size": 7},
                hovertemplate=f"step %{{x}}: %{{y:.2f}}%<extra>{variant}</extra>",
            )
        )
    layout(figure, "Training step [1]", "Validation accuracy [%]")
    teacher = rows[rows["variant"] == TEACHER]
    if len(teacher):
        figure.add_hline(
            y=float(teacher["validation_accuracy"].iloc[0]) * 100,
            line={"color": GREY, "dash": "dot"},
            annotation_text="teacher",
            annotation_position="top left",
        )
    caption = "Mean of the seeds on the 5,000 validation images; the bars range from the worst seed to the best."
    if len(taught) >= len(variants):
        caption += " Only the best distilled student on these images is drawn; all are in the CSV `learning`."
    return Panel("Learning curves", figure, caption)


def _soft_targets(details: Details) -> Panel:
    """Each digit next to the teacher's probabilities, at T = 1 and at a higher temperature."""
    targets, pixels = details["targets"], details["digits"]
    digits = sorted(targets["digit"].unique())
    temperatures = sorted(targets["temperature"].unique())
    shown = [1.0, *[one for one in temperatures if one > 1][:1]]
    figure = make_subplots(rows=len(digits), cols=2, column_widths=[0.3, 0.7], horizontal_spacing=0.2)
    for row, digit in enumerate(digits, start=1):
        image = pixels[pixels["digit"] == digit].pivot_table(index="row", columns="column", values="brightness")
        figure.add_trace(
            go.Heatmap(z=image.to_numpy().tolist(), colorscale="Greys", showscale=False, hoverinfo="skip"), row, 1
        )
        for temperature in shown:
            own = targets[(targets["digit"] == digit) & (targets["temperature"] == temperature)]
            look = style(TEACHER if temperature == 1 else "distilled")
            figure.add_trace(
                go.Bar(
                    name=f"T = {temperature:g}",
                    x=own["said"].tolist(),
                    y=own["probability"].tolist(),
                    marker={"color": look.color},
                    showlegend=row == 1,
                    legendgroup=str(temperature),
                    hovertemplate=f"a %{{x}}, at T = {temperature:g}: %{{y:.3f}}<extra></extra>",
                ),
                row,
                2,
            )
    layout(figure, "", "")
    figure.update_xaxes(visible=False, constrain="domain", col=1)
    figure.update_yaxes(visible=False, autorange="reversed", col=1)
    for row in range(1, len(digits) + 1):  # square images
        figure.update_yaxes(scaleanchor=f"x{2 * row - 1}" if row > 1 else "x", row=row, col=1)
    figure.update_xaxes(dtick=1, col=2)
    figure.update_yaxes(range=[0, 1], col=2)
    figure.update_yaxes(title="Probability [1]", row=(len(digits) + 1) // 2, col=2)
    figure.update_xaxes(title="Class [digit]", row=len(digits), col=2)
    figure.update_layout(height=110 + 140 * len(digits), barmode="group", xaxis={"title": "Image"})
    caption = (
        "Validation digits that the teacher classifies correctly but not confidently. The probabilities of the other "
        "classes show the student which digits look alike; a label cannot. A higher temperature raises them."
    )
    return Panel("Dark knowledge: the teacher's soft targets", figure, caption)


def _confusion(taught: pd.DataFrame, details: Details) -> Panel:
    """Confusion matrices of the student alone and the best distilled student; the diagonal is blank."""
    counts, best = details["confusion"], _best(taught)
    variants = [ALONE, *([best] if best else [])]
    totals = counts[counts["variant"] == ALONE].groupby("label")["count"].sum()
    images = max(1, int(totals.sum()))
    titles = [ALONE, "distilled"][: len(variants)]
    figure = make_subplots(rows=1, cols=len(variants), subplot_titles=titles, shared_yaxes=True)
    for place, variant in enumerate(variants, start=1):
        wrong = counts[(counts["variant"] == variant) & (counts["label"] != counts["said"])]
        table = wrong.pivot_table(index="label", columns="said", values="count", aggfunc="sum") / images * 10_000
        figure.add_trace(
            go.Heatmap(
                x=table.columns.tolist(),
                y=table.index.tolist(),
                z=[[None if pd.isna(value) else float(value) for value in line] for line in table.to_numpy()],
                coloraxis="coloraxis",
                xgap=1,
                ygap=1,
                hovertemplate="a %{y} classified as a %{x}: %{z:.1f} in 10,000<extra></extra>",
            ),
            row=1,
            col=place,
        )
    layout(figure, "Predicted [digit]", "Label [digit]")
    figure.update_xaxes(title="Predicted [digit]", dtick=1, showgrid=False)
    figure.update_yaxes(dtick=1, autorange="reversed", showgrid=False)
    figure.update_layout(coloraxis={"colorscale": REDS, "cmin": 0, "colorbar": {"thickness": 12}}, margin={"t": 40})
    caption = "Errors among 10,000 test images, mean of the seeds; correct predictions, the diagonal, are blank."
    caption += f" Distilled: {best}, the best on the validation images." if best else ""
    return Panel("Which digits are confused", figure, caption)
