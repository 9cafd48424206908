"""Opens pages in a headless Chromium, collects what goes wrong there, and asks axe about accessibility.

Scripts beside this one are run by Rust tests: `python SCRIPT PAGE…`. They end with exit status 0 and the word
"good" on the last line, or with what is wrong on stderr.
"""

import contextlib
import os
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def fail(message):
    """Ends the program with a message."""
    print(message, file=sys.stderr)
    sys.exit(1)


def expect(condition, message):
    """Fails with `message` unless `condition` holds."""
    if not condition:
        fail(message)


def equal(what, found, expected):
    """Fails unless the two are equal."""
    expect(found == expected, f"{what}: expected {expected!r}, found {found!r}")


@contextlib.contextmanager
def chromium():
    """A browser, which ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ["IMAGERAG_BROWSER"], args=FLAGS
        )
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """One page with what went wrong in it: errors, messages of the console, and requests to a network."""

    def __init__(self, browser, url, width=1280, height=900, **options):
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, **options
        )
        self.wrong = []
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._console)
        self.page.on("request", self._request)
        self.page.goto(url)

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.wrong.append(f"console {message.type}: {message.text}")

    def _request(self, request):
        if request.url.split(":")[0] not in ("file", "data", "blob"):
            self.wrong.append(f"a request to {request.url}")

    def clean(self):
        """Fails if anything went wrong so far."""
        expect(not self.wrong, "\n".join(self.wrong))

    def fits(self):
        """Fails if the page scrolls sideways."""
        wide, seen = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        expect(wide <= seen, f"the page is {wide} pixels wide, and the window {seen}")

    def accessible(self):
        """Fails on what axe calls serious or critical."""
        found = Axe().run(self.page).response["violations"]
        serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
        told = [
            f"{rule['id']}: {rule['help']}: {rule['nodes'][0]['html'][:200]}" for rule in serious
        ]
        expect(not serious, "\n".join(told))

    def close(self):
        """Fails if anything went wrong, and ends the page."""
        self.clean()
        self.context.close()
