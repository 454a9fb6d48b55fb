"""Readers of the JIT experiment's page: its form, errors and figures."""

import json

from tests.dashboard.run_records import SPEC


def field(page, name):
    """The widget of one field of the form."""
    kinds = (page.text_input, page.number_input, page.selectbox)
    return next(widget for kind in kinds for widget in kind if widget.key.startswith(f"jit:{name}:"))


def values(page):
    return {name: field(page, name).value for name in SPEC}


def errors(page):
    return [one.value for one in page.error]


def run_button(page):
    return page.button(key="run")


def drawn(page):
    return [json.loads(one.proto.spec) for one in page.get("plotly_chart")]


def marked_preset(page):
    return page.get("button_group")[0].value
