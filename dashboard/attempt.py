"""What an experiment's own code makes of rows: rows of another version or of a stranger may be more than it expects."""

import logging
from collections.abc import Callable
from typing import TypeVar

import streamlit as st

Made = TypeVar("Made")


def attempt(what: str, make: Callable[[], Made], otherwise: Made) -> Made:
    """What `make` gives, or `otherwise` with one line said: the rest of the page is shown in either case."""
    try:
        return make()
    except Exception as error:
        logging.getLogger(__name__).exception("%s", what)
        st.warning(f"{what} cannot be made of these rows ({type(error).__name__}).", icon=":material/broken_image:")
        return otherwise
