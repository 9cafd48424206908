"""A report of 40 classes in two data sets: sorts, filters, searches, pages, and shows one picture closely."""

import sys
from pathlib import Path

from browser import Tab, chromium, equal, expect

URL = Path(sys.argv[1]).as_uri()


def names(page):
    return page.locator("#results-table tbody th").all_inner_texts()


def prompts(page):
    # Not `inner_text`, which is empty for cards that are out of sight.
    return page.locator("#list article h3").all_text_contents()


def found(page):
    return page.locator("#found [role=status]").inner_text()


def choose(page, name, label):
    page.select_option(f"#choose-{name}", label=label)


with chromium() as browser:
    tab = Tab(browser, URL)
    page = tab.page

    # The table sorts by a column, the other way, and back.
    own = names(page)
    equal("systems", own, ["OmniGen", "IR-O", "PixArt-Σ"])
    head = page.locator("#results-table th[data-column='1']")
    head.locator("button").click()
    equal("best first", names(page), ["IR-O", "OmniGen", "PixArt-Σ"])
    equal("its direction", head.get_attribute("aria-sort"), "descending")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    equal("worst first, and what has no number last", names(page), own)
    equal("its direction", head.get_attribute("aria-sort"), "ascending")
    head.locator("button").click()
    equal("its direction", head.get_attribute("aria-sort"), "none")

    # Filters, alone and together.
    equal("all", found(page), "1 to 24 of 80")
    choose(page, "dataset", "CUB")
    equal("a data set", found(page), "1 to 24 of 40")
    choose(page, "outcome", "refused")
    equal("what was refused", found(page), "1 to 2 of 2")
    choose(page, "system", "OmniGen")
    equal("of a system that was never refused", found(page), "Nothing fits what is chosen.")
    choose(page, "outcome", "any")
    choose(page, "class", "tench 1")
    equal("a class", prompts(page), ["A photo of a tench 1"])
    equal("of one system", page.locator("#list figure").count(), 1)
    for name in ("dataset", "system", "class"):
        choose(page, name, "all")
    choose(page, "outcome", "the draft was good enough")
    equal("drafts", found(page), "1 to 12 of 12")
    choose(page, "outcome", "any")

    # Search, in prompts and in what references are.
    page.fill("#search", "KAKAPO 2")
    page.wait_for_function("() => document.querySelectorAll('#list article').length === 2")
    equal("found", prompts(page), ["A photo of a kakapo 2"] * 2)
    page.fill("#search", "birds/22.jpg")
    page.wait_for_function("() => document.querySelectorAll('#list article').length === 1")
    page.fill("#search", "")
    page.wait_for_function("() => document.querySelectorAll('#list article').length === 24")

    # Orders, and pages.
    choose(page, "order", "CLIP: best first")
    best = page.locator("#list article").first.locator(".scores").first.text_content()
    expect("0.290" in best, f"the best is first: {best}")
    choose(page, "order", "CLIP: worst first")
    worst = page.locator("#list article").first.locator(".scores").first.text_content()
    expect("0.250" in worst, f"the worst is first: {worst}")
    choose(page, "order", "of the data set")
    for _ in range(3):
        page.get_by_role("button", name="Next").click()
    equal("the last page", found(page), "73 to 80 of 80")
    expect(page.get_by_role("button", name="Next").is_disabled(), "there is no next page")
    choose(page, "dataset", "CUB")
    equal("a filter begins anew", found(page), "1 to 24 of 40")

    # One picture closely, by the keyboard alone.
    page.locator("#list article").first.locator(".look").nth(1).focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    text = dialog.inner_text()
    for words in (
        "IR-O: A photo of a quetzal 1",
        "Reference",
        "license: CC-BY-4.0",
        "author: A. Painter",
        "drawn with references",
        "every round is done",
        "Score: 3. The beak is too long.",
        "critique, round 0",
        "missing: a quetzal",
    ):
        expect(words in text, f"{words!r} is not in {text}")
    link = dialog.get_by_role("link", name="https://example.org/birds/22.jpg").first
    equal("the source", link.get_attribute("href"), "https://example.org/birds/22.jpg")
    dialog.locator("summary", has_text="decision").first.click()
    question = dialog.locator(".said").filter(has_text="Does this image match").first
    expect(question.is_visible(), "the whole question is there")
    tab.accessible()
    page.keyboard.press("Escape")
    equal("the dialog is gone", page.locator("dialog").count(), 0)

    # What is missing is told.
    expect("40 missing" in page.locator("#results-table").inner_text(), "missing pictures")
    for image in page.locator("figure img").all()[:6]:
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete", arg=image.element_handle())
        expect(image.evaluate("image => image.naturalWidth") > 0, "a picture is broken")
    tab.accessible()
    tab.fits()
    tab.close()

    for scheme in ("light", "dark"):
        tab = Tab(browser, URL, width=360, height=740, color_scheme=scheme)
        tab.fits()
        tab.accessible()
        tab.page.locator(".look").nth(1).click()
        tab.fits()
        tab.close()
print("good")
