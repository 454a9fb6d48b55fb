"""The README's pictures: the overview as a newcomer sees it, light and dark. Run by hand when it looks different.

python -m tests.benchmarks.pictures
"""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.benchmarks.sizes import size
from tests.browser.browser_tools import Visitor, start_app

FOLDER = size(Path(__file__).parents[2] / "dashboard" / "pictures", Path(tempfile.gettempdir()))
SIZE = {"width": 1400, "height": 1280}
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]


def main() -> None:
    """Starts the app with an empty home and takes its first page twice."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        app = start_app(Path(home))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for scheme in ("light", "dark"):
            page = Visitor(browser, app, viewport=SIZE, color_scheme=scheme).open()
            page.locator(".js-plotly-plot").nth(1).wait_for()
            page.wait_for_timeout(1000)  # until the figures have their final size
            page.screenshot(path=FOLDER / f"overview-{scheme}.png")
        browser.close()
        app.stop()


if __name__ == "__main__":
    main()
