"""The recommendation of a trade-off study: a criterion, the best variant, the steps to it, and its model file."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import links, services
from dashboard.figures import Details
from dashboard.figures.tradeoffs.contributions import waterfall
from dashboard.safe_render import escape_markdown
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.export_c.spec import FLOAT, ExportSpec
from experiments.models import tensor_file
from experiments.models.recipe import Recipe, from_json
from experiments.runs import frames, store
from experiments.studies.tradeoffs.recommendation import (
    CRITERIA,
    Criterion,
    Evidence,
    Recommendation,
    recommend,
    technique_path,
)

EDGE = "edge"  # the experiment that builds a recipe as a C program


def point_sections(run: Any, rows: pd.DataFrame, details: Details) -> None:
    """Draws the recommendation for one grid point; nothing for a run without models or a front."""
    models = details.get("models", pd.DataFrame())
    if models.empty or rows.empty or not rows["p_front"].notna().any():
        return

    @st.fragment
    def section() -> None:
        _section(run, rows[rows["p_front"].notna()], models)

    section()


def _section(run: Any, rows: pd.DataFrame, models: pd.DataFrame) -> None:
    key = f"{run['id']}-pick"
    st.markdown("#### Recommendation")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        named: dict[str, Criterion] = {name.removeprefix("the ").capitalize(): one for one, name in CRITERIA.items()}
        label = st.selectbox("Best for", list(named), key=f"{key}-question", width=260)
        criterion = named[label]
        limit = _limit(criterion, rows, key)
    found = recommend(criterion, rows, _evidence(run, rows), limit)
    if found is None:
        st.info("No variant of this study qualifies: raise the limit.", icon=":material/search_off:")
        return
    _answer(found)
    recipe = models[models["recipe"] == rows.set_index("variant").loc[found.winner, "recipe"]].iloc[0]
    left, right = st.columns(2)
    with left:
        _recipe(run, from_json(recipe["text"]), found, key)
    with right:
        panel = waterfall(technique_path(rows, found.winner))
        st.markdown(f"**{panel.title}**")
        st.plotly_chart(panel.figure, key=f"{key}-waterfall", alt=f"{panel.title}. {panel.caption}")
        st.caption(panel.caption)


def _limit(criterion: Criterion, rows: pd.DataFrame, key: str) -> float:
    """The largest allowed size in bytes or latency in milliseconds."""
    if criterion == "best_by_size":
        start = float(np.ceil(rows["size_bytes"].median() / 1000))
        return 1000 * st.number_input(
            "At most [kB]", 0.1, 1e6, start, key=f"{key}-size", width=160, help="1 kB = 1,000 bytes"
        )
    if criterion == "best_by_latency":
        start = float(np.ceil(rows["latency_ms"].median() * 1000))
        return st.number_input("At most [µs]", 1.0, 1e9, start, key=f"{key}-latency", width=160) / 1000
    return 0.0


def _evidence(run: Any, rows: pd.DataFrame) -> Evidence:
    """Stored block timings and correct predictions of a run."""
    db = services.database()
    samples = frames.samples_frame(db, run)
    blocks = samples[(samples["kind"] == "block") & samples["row"].isin(rows.index)]
    seconds = {str(variant): one["seconds"].tolist() for variant, one in blocks.groupby("variant", sort=False)}
    try:
        packed, about = tensor_file.decode(store.read_artifact(db, run["id"], "answers.safetensors"))
        correct = {name: np.unpackbits(one, count=int(about["images"])).astype(bool) for name, one in packed.items()}
    except (KeyError, ValueError):  # a run that ended before all models were built
        correct = {}
    return Evidence(seconds, correct)


def _answer(found: Recommendation) -> None:
    st.markdown(f"**{escape_markdown(found.sentence)}**")
    if found.runner_up is None:
        st.caption(f"{escape_markdown(found.difference.capitalize())}.")
        return
    words = {True: "the difference is significant", False: "the difference is inconclusive", None: "not compared here"}
    icon = {True: ":material/check:", False: ":material/question_mark:", None: ":material/question_mark:"}[
        found.significant
    ]
    runner_up, difference = escape_markdown(found.runner_up), escape_markdown(found.difference)
    st.caption(f"{icon} Runner-up {runner_up}: {difference}; {words[found.significant]}.")


def _recipe(run: Any, recipe: Recipe, found: Recommendation, key: str) -> None:
    """The recipe to copy, its file to download, and a link to the page that builds it as a C program."""
    st.markdown(f"**Recipe `{recipe.hash}`**")
    st.code(recipe.json(), language="json", wrap_lines=True)
    file = f"{recipe.hash}.tinylab"
    there = file in store.artifact_names(services.database(), run["id"])
    refused = edge_refusal(recipe)
    with st.container(horizontal=True, vertical_alignment="center"):
        if there:
            st.download_button(
                "Download the model",
                partial(store.read_artifact, services.database(), run["id"], file),
                file,
                "application/octet-stream",
                on_click="ignore",
                icon=":material/download:",
                key=f"{key}-file-{recipe.hash}",
                help="Restores the model on its own: `experiments.models.format.packed.unpack`.",
            )
        if not refused:
            st.page_link(
                links.experiment_page(EDGE),
                label="As a C program",
                icon=":material/developer_board:",
                query_params=edge_parameters(recipe),
            )
    if not there:
        st.caption("This run has no model files. Run the study on this machine to get them.")
    if refused:
        st.caption(escape_markdown(refused))


def edge_refusal(recipe: Recipe) -> str:
    """Why the edge experiment cannot build this recipe, in one line; empty if it can."""
    try:
        same = parse(ExportSpec, edge_parameters(recipe)).recipe == recipe
    except BadInput as refused:
        return f"As a C program: {refused}"
    return "" if same else "As a C program: only for the network's own widths and integers with one scale per output."


def edge_parameters(recipe: Recipe) -> dict[str, str]:
    """The fields of the edge experiment that build this recipe's model."""
    chosen = {
        "network": recipe.network,
        "width": f"{recipe.width:g}",
        "sparsity": f"{recipe.sparsity:g}",
        "distilled": str(recipe.distilled).lower(),
        "seed": str(recipe.seed),
        "weight_bits": str(recipe.quant.weight_bits),
        "activation_bits": str(recipe.quant.activation_bits or FLOAT),
    }
    return chosen | ({"fine_tune_steps": str(recipe.tune_steps)} if recipe.is_pruned else {})
