"""A report of long names, a long prompt and none: what is read on a phone, on a desk and on paper."""

import sys
from pathlib import Path

from browser import Tab, chromium, equal, expect

URL = Path(sys.argv[1]).as_uri()


def height(locator):
    return locator.bounding_box()["height"]


def lay_out(page):
    """Lays out the cards that are not in sight as well: browsers leave them out until they are."""
    page.locator("#list article").evaluate_all("all => all.forEach(one => { one.style.contentVisibility = 'visible'; })")


def lines(locator):
    """How many lines of text there are."""
    return locator.evaluate(
        """element => {
            const range = document.createRange();
            range.selectNodeContents(element);
            return new Set([...range.getClientRects()].map((box) => Math.round(box.bottom / 6))).size;
        }"""
    )


with chromium() as browser:
    tab = Tab(browser, URL)
    page = tab.page
    lay_out(page)
    name = height(page.locator("#results-table tbody th > div").last)
    expect(name < 80, f"a long name is {name} pixels high: more than three lines")
    articles = page.locator("#list article")
    equal("no prompt", articles.nth(1).locator("h3").inner_text(), "no prompt")
    for card in (articles.nth(2), articles.nth(3)):
        equal("arrows between numbers that look the same", card.locator(".scores").nth(1).text_content().count("▲"), 0)
    page.select_option("#choose-dataset", label="ImageNet")
    expect("▲" in page.locator("#list").text_content(), "what is better is marked")
    page.select_option("#choose-dataset", label="all")
    lay_out(page)
    more = articles.first.get_by_role("button", name="more")
    short = height(articles.first)
    expect(short < 600, f"a long prompt makes {short} pixels")
    more.click()
    expect(height(articles.first) > short + 300, "the whole prompt is there")
    less = articles.first.get_by_role("button", name="less")
    equal("its button", less.get_attribute("aria-expanded"), "true")
    less.click()
    equal("and folded again", height(articles.first), short)
    articles.first.locator(".look").first.click()
    expect(height(page.locator("dialog .bar")) < 200, "the dialog's title is short")
    tab.accessible()
    page.keyboard.press("Escape")

    # Paper has all prompts, and nothing that is folded.
    folded = page.locator("details:not([open])").count()
    expect(folded > 0, "something is folded")
    page.get_by_role("button", name="Next").click()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    equal("prompts on paper", articles.count(), 28)
    equal("folded on paper", page.locator("details:not([open])").count(), 0)
    equal("how many they are", page.locator("#found").inner_text(), "1 to 28 of 28")
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    equal("prompts on the second page again", articles.count(), 4)
    equal("folded again", page.locator("details:not([open])").count(), folded)
    tab.fits()
    tab.close()

    for scheme in ("light", "dark"):
        tab = Tab(browser, URL, width=360, height=740, color_scheme=scheme)
        page = tab.page
        lay_out(page)
        heads = page.locator("#results-table thead th").all_inner_texts()
        equal("data sets of columns", [head.split("\n")[0] for head in heads[1:]], ["CUB"] * 2 + ["ImageNet"] * 2)
        for number in page.locator("#list .scores .name + span").all()[:12]:
            equal(f"lines of {number.text_content()!r}", lines(number), 1)
        for row in page.locator("details[open] tbody tr").all()[:6]:
            expect(height(row) < 60, f"a row of the paper's table has {height(row)} pixels")
        page.locator(".wide").first.evaluate("box => box.scrollLeft = 300")
        name = page.locator("#results-table tbody th").first.bounding_box()
        expect(0 <= name["x"] < 60, f"the system's name stands at {name['x']}")
        tab.fits()
        tab.accessible()
        tab.close()
print("good")
