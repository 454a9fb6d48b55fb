"""Rendering data that may not fit: errors in an experiment's own code, and text that is not meant as Markdown."""

import logging
import re
from collections.abc import Callable
from typing import TypeVar

import streamlit as st

MARKUP = re.compile(r"([\\`*_\[\]<>$~#])")
ADDRESS = re.compile(r"(?<=[\w.+-])(?=@[\w-]+\.)|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
WORD_JOINER = "\u2060"  # has no width
T = TypeVar("T")


def try_render(what: str, render: Callable[[], T], fallback: T) -> T:
    """The result of `render`, or `fallback` with a one-line warning, so that the rest of the page is still shown.

    Rows written by another version or imported from elsewhere may not be what an experiment's own code expects.
    """
    try:
        return render()
    except Exception as error:
        logging.getLogger(__name__).exception("%s", what)
        st.warning(f"{what} cannot be shown ({type(error).__name__}).", icon=":material/broken_image:")
        return fallback


def escape_markdown(text: str) -> str:
    """`text` as one line without Markdown: no links, images, formulas or emphasis.

    Addresses become links without any markup, and `a.T@b.T` is taken for one of a mailbox: no escape prevents that, but
    a character without width does.
    """
    return MARKUP.sub(r"\\\1", ADDRESS.sub(WORD_JOINER, " ".join(text.split())))
