"""A page whose every text tries to break out of its place."""

import sys
from pathlib import Path

from browser import Tab, chromium, equal, expect

with chromium() as browser:
    tab = Tab(browser, Path(sys.argv[1]).as_uri(), width=360, height=740)
    page = tab.page
    expect("<img src=x onerror" in page.locator("#main").inner_text(), "the text is shown as it is")
    for details in page.locator("details").all():
        details.evaluate("details => { details.open = true; }")
    looks = page.locator(".look")
    for at in range(looks.count()):
        looks.nth(at).click()
        page.locator("dialog details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        tab.fits()
        page.keyboard.press("Escape")
    page.wait_for_timeout(200)
    expect(page.title() != "broken", "a script of the data has run")
    equal("pictures of the data", page.locator("img[src='x']").count(), 0)
    for link in page.locator("a[href]").all():
        href = link.get_attribute("href")
        expect(href.startswith(("#", "https://")), f"a link to {href}")
    expect("\u202e" not in page.locator("body").inner_text(), "a character turns the text")
    # Not even markup that is put there by other means does anything.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"document.title = `broken`\">')")
    page.wait_for_timeout(200)
    expect(page.title() != "broken", "the policy lets scripts in attributes run")
    tab.wrong = [line for line in tab.wrong if "Content Security Policy" not in line]
    tab.fits()
    tab.close()
print("good")
