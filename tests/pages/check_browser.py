"""Checks the checks: a page with one fault of each kind is found out, and one without passes."""

import sys
import tempfile
from pathlib import Path

from browser import Tab, chromium, expect

GOOD = """<!doctype html><html lang="en"><head><title>good</title></head>
<body><main><h1>A page</h1><img alt="nothing" src="data:,"></main></body></html>"""
FAULTS = {
    "clean": GOOD.replace("</main>", "<script>throw Error('x')</script></main>"),
    "fits": GOOD.replace("<h1>", "<h1 style='width: 3000px'>"),
    "accessible": GOOD.replace(' alt="nothing"', ""),
}


def passes(browser, html, check):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.html")
        path.write_text(html)
        tab = Tab(browser, path.as_uri(), width=360)
        try:
            getattr(tab, check)()
        except SystemExit:
            return False
        return True


with chromium() as browser:
    for check, html in FAULTS.items():
        expect(passes(browser, GOOD, check), f"a good page fails {check}()")
        expect(not passes(browser, html, check), f"a fault passes {check}()")
sys.stderr.flush()
print("good")
