"""The pages of the app and their addresses."""

import json

from streamlit.testing.v1 import AppTest

from experiments.registry import registered

PAGES = """
import json
import streamlit as st
from dashboard import navigation
st.text(json.dumps({section: [page.url_path for page in pages] for section, pages in navigation.sections().items()}))
"""


def test_every_page_has_its_address():
    sections = json.loads(AppTest.from_string(PAGES, default_timeout=60).run().text[0].value)
    assert sections.pop("") == ["", "runs", "compare", "devices", "method"]  # the Overview is the default page
    assert list(sections) == list(dict.fromkeys(one.section for one in registered().values()))
    assert [address for pages in sections.values() for address in pages] == list(registered())
