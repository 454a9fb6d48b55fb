"""A challenge on its page: open until a run of one's own meets it, whatever examples do."""

import pytest
import streamlit as st

from tests.dashboard.run_records import record

MET = {"speedup": 6.0, "speedup_lo": 5.5, "speedup_hi": 6.5}


@pytest.fixture(autouse=True)
def nothing_judged():
    st.cache_data.clear()


def meeting():
    return [record("eager", 128), record("jit", 128, **MET)]


def texts(page):
    return "\n".join(one.value for one in (*page.markdown, *page.caption))


def solving(page):
    return [one.proto for one in page.get("page_link") if "6x faster" in one.proto.label]


def test_a_challenge_shows_its_goal_and_where_to_start(jit_page, stored):
    stored()
    page = jit_page()
    assert "4x faster than eager at batch 128" in texts(page)
    assert "open" in texts(page)
    assert "exercise" in texts(page)
    assert not solving(page)


def test_a_run_that_meets_it_is_linked_and_the_reason_is_there_to_be_looked_up(jit_page, stored):
    run_id = stored(rows=meeting())
    page = jit_page()
    [link] = solving(page)
    assert f"run={run_id}" in link.query_string
    assert any("What limits the speedup?" in one.label for one in page.expander)
    assert "solved" in texts(page)


@pytest.mark.parametrize("change", [{"imported": True}, {"status": "cancelled"}], ids=str)
def test_what_was_not_done_here_does_not_solve_it(jit_page, stored, change):
    stored(rows=meeting(), **change)
    assert not solving(jit_page())
