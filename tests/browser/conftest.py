"""One app and one Chromium for all tests of a module, and a browser context of its own for each visitor."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.browser_tools import App, Visitor, start_app, wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app that the tests of a module share."""
    started = start_app(tmp_path_factory.mktemp("app"), "--server.headless", "true")
    yield started
    started.stop()
    wait_for(lambda: not started.children())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    program = next((found for found in map(shutil.which, NAMES) if found), None)
    if program is None:
        missing = "there is no Chromium to test the pages with; get it by: apt-get install chromium"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visitor(chromium: Browser, app: App) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors, each with a browser context of its own."""
    came: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        came.append(Visitor(chromium, app, **options))
        return came[-1]

    yield make
    for one in came:
        one.context.close()
