"""The C program of a run as a download, and its WebAssembly build as a live demo. Needs no network."""

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import services
from dashboard.figures import Details
from experiments.models.data.mnist import mnist
from experiments.runs import store

EXAMPLES = 40  # test images offered besides drawing
HERE = Path(__file__)
ENDING = ".wasm"

_panel = st.components.v2.component(
    "tinylab_edge",
    html=HERE.with_suffix(".html").read_text(encoding="utf-8"),
    css=HERE.with_suffix(".css").read_text(encoding="utf-8"),
    js=HERE.with_suffix(".js").read_text(encoding="utf-8"),
)


def sections(run: Any, rows: pd.DataFrame, details: Details) -> None:
    """The zip to download, and the live demo if the run has a WebAssembly build and was not imported."""
    db = services.database()
    names = list(store.artifact_names(db, run["id"]))
    for name in (one for one in names if one.endswith(".zip")):
        st.download_button(
            "Download the C program (zip)",
            partial(store.read_artifact, db, run["id"], name),
            name.replace(" ", "-"),
            "application/zip",
            on_click="ignore",
            icon=":material/folder_zip:",
            key=f"{run['id']}-c-program",
            help="model.c with the weights, model.h, a test vector, the recipe and instructions",
        )
    for name in (one for one in names if one.endswith(ENDING)):
        _try(run, name, partial(store.read_artifact, db, run["id"], name))


def _try(run: Any, name: str, read: Callable[[], bytes]) -> None:
    st.markdown("#### Try it: the same program, in this page")
    if run["imported"]:
        st.info(
            "Programs of imported runs are not executed. Run the experiment on this machine to try it.",
            icon=":material/block:",
        )
        return
    module = read()
    _panel(
        data={"module": base64.b64encode(module).decode(), "name": name.removesuffix(ENDING), **_examples()},
        key=f"{run['id']}-try",
    )
    st.caption(
        f"{len(module):,} bytes of WebAssembly, compiled from the same model.c, run by your browser; nothing is sent "
        "anywhere. Your drawing is scaled and centered like the MNIST digits."
    )


@st.cache_data(show_spinner=False)
def _examples() -> dict[str, Any]:
    """The first test images as bytes, and their labels."""
    test = mnist().test
    pixels = np.rint(test.images[:EXAMPLES] * 255).astype(np.uint8)
    return {"images": base64.b64encode(pixels.tobytes()).decode(), "labels": test.labels[:EXAMPLES].tolist()}
