"""What the browser tests share: an app with a home of its own, and visitors who note what they ask for."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from experiments.runs import store
from tests import processes

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90  # for what takes seconds on an idle machine

expect.set_options(timeout=PATIENCE_S * 1000)


@dataclass
class App:
    """A running app with a home and a database of its own."""

    address: str
    database: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def db(self) -> Engine:
        return store.engine(self.database)

    def children(self) -> list[psutil.Process]:
        """The child processes of runs that work for this app's database."""
        return [one for one in psutil.process_iter() if self._is_child(one)]

    def _is_child(self, process: psutil.Process) -> bool:
        try:
            mine = process.environ().get("TINYLAB_DATABASE") == self.database
            return mine and "experiments.runs.child" in process.cmdline()
        except psutil.Error:
            return False

    def stop(self) -> None:
        """Ends the app as Ctrl-C does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)


def wait_for(condition: Callable[[], Any]) -> Any:
    """Waits until `condition` gives something true, and returns that."""
    end = time.monotonic() + PATIENCE_S
    while not (seen := condition()):
        assert time.monotonic() < end, "this did not become true"
        time.sleep(0.1)
    return seen


def start_app(home: Path, *options: str, database: str | None = None) -> App:
    """Starts the app as a newcomer would; it is up when this returns."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"HOME": home, "XDG_CACHE_HOME": home / "cache", "XDG_DATA_HOME": home / "data", "TMPDIR": home}
    own |= {"TINYLAB_LOCKS": home / "locks"}
    database = database or f"sqlite:///{home / 'runs.db'}"
    window = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_CURRENT_DESKTOP")  # without these no browser window is opened
    inherited = {name: text for name, text in os.environ.items() if name not in window}
    environment = {**inherited, **{k: str(v) for k, v in own.items()}, "TINYLAB_DATABASE": database, "BROWSER": "true"}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port), *options]
    log = home / "log"
    with log.open("wb") as out:
        process = processes.start(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    app = App(f"http://127.0.0.1:{port}", database, process, log)
    try:
        wait_for(lambda: _is_up(app))
    except BaseException:
        app.stop()
        raise
    return app


def _is_up(app: App) -> bool:
    assert app.process.poll() is None, app.log.read_text()
    try:
        with urllib.request.urlopen(f"{app.address}/_stcore/health", timeout=5) as answer:  # noqa: S310
            return bool(answer.read() == b"ok")
    except OSError:
        return False


class Visitor:
    """One person's browser: a context of its own, which notes its requests and its errors."""

    def __init__(self, browser: Browser, app: App, **options: Any) -> None:
        self.app = app
        self.hosts: set[str | None] = set()
        self.errors: list[str] = []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.context.set_default_timeout(PATIENCE_S * 1000)
        self.context.on("request", self._ask)
        self.context.on("console", self._note)
        self.context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _ask(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme != "blob":  # the code of a component, which the page itself holds
            self.hosts.add(address.hostname)

    def _note(self, message: Any) -> None:
        probing = "/_stcore/" in message.location["url"]  # Streamlit looks for its server under each page's address
        if message.type == "error" and not probing:
            self.errors.append(f"{message.text} {message.location['url']}")

    def open(self, path: str = "/") -> Page:
        """Opens a tab and waits until its page has been drawn."""
        page = self.context.new_page()
        page.goto(self.app.address + path)
        drawn(page)
        return page


def drawn(page: Page) -> None:
    """Waits until the script of the page has run and its title is there."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    expect(page.locator("h1").first).to_be_visible()
