"""Who can see a page, and what a link to it is."""

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard import sharing

NOTICE = "from dashboard import sharing\nsharing.network_notice()\n"


@pytest.fixture
def address():
    """Sets the address that the server listens on, as `--server.address` does."""
    before = config.get_option("server.address")
    yield lambda text: config.set_option("server.address", text)
    config.set_option("server.address", before)


@pytest.mark.parametrize("text", ["127.0.0.1", "127.3.2.1", "localhost", "::1"])
def test_these_addresses_are_this_machine_alone(text):
    assert sharing.is_loopback(text)


@pytest.mark.parametrize("text", [None, "", "0.0.0.0", "::", "192.168.1.7", "example.org", "127.0.0.1.example.org"])  # noqa: S104
def test_these_addresses_are_open_to_others(text):
    assert not sharing.is_loopback(text)


def test_a_page_on_loopback_has_no_notice(address):
    address("127.0.0.1")
    assert not AppTest.from_string(NOTICE).run().warning


@pytest.mark.parametrize("text", ["0.0.0.0", "", "192.168.1.7"])  # noqa: S104
def test_a_page_that_others_can_reach_shows_a_notice(address, text):
    address(text)
    [notice] = AppTest.from_string(NOTICE).run().warning
    assert "open to the network" in notice.value


def test_the_app_as_it_is_configured_listens_on_loopback_alone():
    assert sharing.is_loopback(config.get_option("server.address"))


def test_the_app_as_it_is_configured_asks_and_tells_nobody():
    assert config.get_option("browser.gatherUsageStats") is False
    assert config.get_option("server.showEmailPrompt") is False
    assert config.get_option("client.showErrorDetails") == "none"


LINK = "import streamlit as st\nfrom dashboard import sharing\nst.code(sharing.permalink('abc'))\n"


def test_the_link_of_a_page_on_loopback_is_its_own_address(address, monkeypatch):
    address("127.0.0.1")
    monkeypatch.setattr(sharing, "network_address", lambda: "192.168.1.7")
    assert "192.168.1.7" not in AppTest.from_string(LINK).run().code[0].value


@pytest.mark.parametrize("seen", ["localhost", "127.0.0.1"])
def test_on_a_network_the_link_is_one_that_a_colleague_can_open(address, monkeypatch, seen):
    address("0.0.0.0")  # noqa: S104
    monkeypatch.setattr(sharing, "network_address", lambda: "192.168.1.7")
    monkeypatch.setattr(sharing, "_here", lambda: f"http://{seen}:8501/jit?run=old#x")
    assert AppTest.from_string(LINK).run().code[0].value == "http://192.168.1.7:8501/jit?run=abc"


def test_a_link_keeps_the_name_by_which_a_colleague_opened_the_page(address, monkeypatch):
    address("0.0.0.0")  # noqa: S104
    monkeypatch.setattr(sharing, "_here", lambda: "https://lab.example.org/tools/jit")
    assert sharing.link(runs="a,b", x="batch") == "https://lab.example.org/tools/jit?runs=a,b&x=batch"


def test_the_address_on_the_network_is_never_the_loopback():
    found = sharing.network_address()
    assert found is None or not sharing.is_loopback(found)
