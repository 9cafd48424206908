"""The page of one request, which is done or failed."""

import sys
from pathlib import Path

from browser import Tab, chromium, equal, expect

URL, ENDED, PROMPT = Path(sys.argv[1]).as_uri(), sys.argv[2], sys.argv[3]

with chromium() as browser:
    tab = Tab(browser, URL)
    page = tab.page
    equal("the title", page.title(), PROMPT)
    equal("the heading", page.locator("h1").inner_text(), PROMPT)
    equal("how it ended", page.locator(".badge").inner_text(), ENDED)
    stages = page.locator(".time > li > h3").all_inner_texts()
    expect(stages[0].startswith("draft, round 0"), f"stages: {stages}")
    for image in page.locator("figure img:visible").all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
    text = page.locator("main").inner_text()
    settings = page.locator("#settings + dl").inner_text().split("\n")
    equal("the threshold", settings[settings.index("threshold") + 1], "0.3")
    for words in ("FakeGenerator", "max rounds", "critique, round 0"):
        expect(words in text, f"{words!r} is not in {text}")
    if ENDED == "done":
        titles = page.locator("main > .pictures figcaption strong").all_inner_texts()
        equal("the pictures", [titles[0], titles[-1]], ["Draft", "Result"])
        expect("Reference" in titles, f"references: {titles}")
        heights = page.locator("main > .pictures .picture").evaluate_all(
            "all => all.map(one => Math.round(one.getBoundingClientRect().height))"
        )
        equal("pictures of one height", len(set(heights)), 1)
        first = page.locator(".time > li", has_text="retrieve, round 1").locator(".hit:not(.refused)").first
        expect("Its picture is not kept." in first.inner_text(), "what became of the picture of round 1")
        for words in ("license: unknown", "not used: ", "below the threshold", "generate, round 2"):
            expect(words in text, f"{words!r} is not in {text}")
    else:
        expect(page.locator(".time > li.failed").count() == 1, "the stage that failed is marked")
        titles = page.locator("main > .pictures figcaption strong").all_inner_texts()
        equal("the pictures", titles, ["Best image before the error"])
    page.locator("summary").first.click()
    expect(page.locator(".said").first.is_visible(), "the question is there")
    page.locator(".picture").first.click()
    expect(page.locator("dialog img").is_visible(), "the picture is shown larger")
    tab.accessible()
    page.keyboard.press("Escape")
    tab.accessible()
    tab.fits()
    tab.close()
    tab = Tab(browser, URL, width=360, height=740, color_scheme="dark")
    tab.fits()
    tab.accessible()
    tab.close()
print("good")
