"""Takes part in studies: `check_study.py COMPARATIVE ABSOLUTE SENDING DOWNLOADS KEY`."""

import csv
import io
import json
import os
import pathlib
import sys

from browser import Tab, chromium, equal, expect

compare, rate, sending, downloads = (pathlib.Path(argument) for argument in sys.argv[1:5])
KEY = {row["picture"]: row for row in csv.DictReader(open(sys.argv[5], newline=""))}
SHOTS = os.environ.get("IMAGERAG_SCREENSHOTS")


def address(folder, query=""):
    return (folder / "index.html").as_uri() + query


def shot(page, name, full=True):
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=full)


def begin(page):
    page.check("#agree")
    page.click("#begin")


def name(page, side):
    """The opaque name of the picture on a side."""
    return page.locator(f"#{side} img").get_attribute("src").split("/")[1].split(".")[0]


def loaded(page):
    page.locator("#loading:empty").wait_for(state="attached")


def side_of(page, question):
    """Method, base, method, for the three questions; and the right one in a check."""
    wanted = ("method", "base", "method")[question]
    sides = {KEY[name(page, side)]["role"]: side for side in ("left", "right")}
    return sides.get(wanted) or sides["right"]


def choose(page, question, side, by_key):
    if by_key:
        page.keyboard.press("ArrowLeft" if side == "left" else "ArrowRight")
    else:
        page.locator("fieldset").nth(question).locator(f"input[value={side}]").check()


def checked(page):
    return page.locator("fieldset input:checked").evaluate_all("all => all.map((input) => input.value)")


def order(browser, query):
    tab = Tab(browser, address(compare, query))
    begin(tab.page)
    seen = []
    while tab.page.locator("#item").is_visible():
        loaded(tab.page)
        seen.append((tab.page.locator("#prompt").inner_text(), name(tab.page, "left")))
        for question in range(3):
            choose(tab.page, question, "left", True)
        tab.page.click("#next")
    tab.clean()
    return seen


def comparison(browser):
    tab = Tab(browser, address(compare, "?participant=1"))
    page = tab.page
    tab.accessible()
    shot(page, "welcome")
    expect(page.locator("#begin").is_disabled(), "it begins without consent")
    begin(page)
    clicked = []
    for number in range(5):
        loaded(page)
        equal("progress", page.locator("#count").inner_text(), f"{number + 1} of 5")
        boxes = [page.locator(f"#{side} img").bounding_box() for side in ("left", "right")]
        equal("display size", (boxes[0]["width"], boxes[0]["height"]), (boxes[1]["width"], boxes[1]["height"]))
        alt = [page.locator(f"#{side} img").get_attribute("alt") for side in ("left", "right")]
        equal("alt text", alt, ["Picture A", "Picture B"])
        expect(page.locator("#next").is_disabled(), "the next page comes without answers")
        sides = [side_of(page, question) for question in range(3)]
        choose(page, 0, sides[0], number % 2 == 0)
        if number == 1:
            page.reload()
            loaded(page)
            equal("the answer after a reload", checked(page), sides[:1])
            shot(page, "item")
            tab.accessible()
        for question in (1, 2):
            choose(page, question, sides[question], number % 2 == 0)
        equal("what is chosen", checked(page), sides)
        item = json.loads(page.locator("#study").text_content())
        shown = {name(page, "left"), name(page, "right")}
        screen = next(s for s in item["screens"] if set(s["pictures"]) == shown)
        clicked += [(screen["item"], q, side, name(page, side)) for q, side in zip(item["questions"], sides)]
        if number == 2:
            page.click("#back")
            equal("progress after going back", page.locator("#count").inner_text(), "2 of 5")
            equal("answers after going back", len(checked(page)), 3)
            page.click("#next")
            equal("answers after coming back", checked(page), sides)
        if number % 2:
            page.click("#next")
        else:
            page.keyboard.press("Enter")
            expect(number == 4 or page.locator("#count").inner_text() == f"{number + 2} of 5", "Enter does not go on")
    page.wait_for_selector("#end:visible")
    tab.accessible()
    shot(page, "end")
    downloads.mkdir()
    for link, ending in (("#json", "json"), ("#csv", "csv")):
        with page.expect_download() as download:
            page.click(link)
        equal("name", download.value.suggested_filename, f"compare-1.{ending}")
        download.value.save_as(downloads / f"one.{ending}")
    record = json.loads((downloads / "one.json").read_text("utf-8"))
    fields = ("item", "question", "side", "chosen")
    equal("JSON", [tuple(a[f] for f in fields) for a in record["answers"]], clicked)
    equal("who", (record["study"], record["participant"], record["list"]), ("compare", "1", 1))
    for answer in record["answers"]:
        equal("fields", set(answer), {*fields, "shown", "ms", "width"})
        expect(answer["ms"] >= 0 and answer["width"] == 1280 and answer["shown"].endswith("Z"), str(answer))
    table = list(csv.DictReader(io.StringIO((downloads / "one.csv").read_text("utf-8"))))
    equal("CSV", [tuple(row[f] for f in fields) for row in table], clicked)
    equal("participants of the CSV", {row["participant"] for row in table}, {"1"})
    page.click("#copy")
    page.get_by_text("Copied.").wait_for()
    (downloads / "one.txt").write_text(page.locator("#code").input_value(), "utf-8")
    page.reload()
    expect(page.locator("#end").is_visible(), "the end does not survive a reload")
    page.click("#return")
    equal("all pages", page.locator("#count").inner_text(), "5 of 5")
    tab.clean()


def phone(browser):
    for scheme in ("light", "dark"):
        tab = Tab(browser, address(compare), 360, 740, has_touch=True, color_scheme=scheme)
        page = tab.page
        tab.fits()
        tab.accessible()
        shot(page, f"phone-welcome-{scheme}")
        begin(page)
        loaded(page)
        tab.fits()
        tab.accessible()
        shot(page, f"phone-item-{scheme}", False)
        page.tap("#left button")
        expect(page.locator("#large").is_visible(), "the picture is not enlarged")
        page.tap("#close")
        while page.locator("#item").is_visible():
            loaded(page)
            for question in range(3):
                page.locator("fieldset").nth(question).locator("label").first.tap()
            page.tap("#next")
        tab.fits()
        shot(page, f"phone-end-{scheme}")
        tab.clean()


def rating(browser):
    tab = Tab(browser, address(rate, "?participant=2"), color_scheme="dark")
    page = tab.page
    begin(page)
    number = 0
    while page.locator("#item").is_visible():
        loaded(page)
        if number == 0:
            tab.accessible()
            shot(page, "rating-dark")
        equal("progress", page.locator("#count").inner_text(), f"{number + 1} of 5")
        page.keyboard.press("ArrowLeft" if number % 2 else "ArrowRight")
        equal("what is chosen", checked(page), ["left" if number % 2 else "right"])
        page.keyboard.press("Enter")
        number += 1
    with page.expect_download() as download:
        page.click("#json")
    record = json.loads(pathlib.Path(download.value.path()).read_text("utf-8"))
    equal("answers", [a["chosen"] for a in record["answers"]], ["no", "yes", "no", "yes", "no"])
    # What matters here is that answers are read: which of them is the check is not known to the page.
    key = {row["screen"]: row for row in csv.DictReader(open(f"{rate}.csv", newline=""))}
    for answer in record["answers"]:
        role = key[answer["item"]]["role"]
        if role in ("right", "wrong"):
            answer["chosen"], answer["side"] = ("yes", "left") if role == "right" else ("no", "right")
    (downloads / "rate.json").write_text(json.dumps(record), "utf-8")
    tab.clean()


def send(browser):
    tab = Tab(browser, address(sending, "?participant=3"))
    page = tab.page
    expect("127.0.0.1" in page.locator("#sends").inner_text(), "it is not told where answers go")
    begin(page)
    while page.locator("#item").is_visible():
        loaded(page)
        for question in range(3):
            choose(page, question, "right", False)
        expect(not tab.wrong, f"something was sent before the end: {tab.wrong}")
        page.click("#next")
    page.get_by_text("Your answers were sent.").wait_for()
    page.reload()
    page.get_by_text("Your answers were sent.").wait_for()
    equal("requests", len(tab.wrong), 1)
    # Nothing else gets out.
    blocked = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'blocked')")
    equal("a request to another address", blocked, "blocked")


def blocked(browser):
    """Nobody answers without having seen the images."""
    tab = Tab(browser, address(compare, "?participant=1"))
    page = tab.page
    page.route("**/pictures/*", lambda route: route.abort())
    page.reload()
    begin(page)
    page.wait_for_selector("#retry:visible")
    tab.accessible()
    shot(page, "missing")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    equal("answers without images", checked(page), [])
    equal("questions that can be answered", page.locator("fieldset:enabled").count(), 0)
    page.click("#skip")
    equal("the page behind", page.locator("#count").inner_text(), "2 of 5")
    page.wait_for_selector("#retry:visible")
    page.unroute("**/pictures/*")
    page.click("#retry")
    loaded(page)
    expect(page.locator("#retry").is_hidden(), "it can still be tried again")
    page.keyboard.press("ArrowLeft")
    equal("answers with images", checked(page), ["left"])
    tab.context.close()


def held(browser):
    """A key that is held is one key."""
    tab = Tab(browser, address(compare, "?participant=1"))
    page = tab.page
    begin(page)
    for number in range(2):
        loaded(page)
        for _ in range(4):
            page.keyboard.down("ArrowRight")
        page.keyboard.up("ArrowRight")
        equal("answers of a held key", checked(page), ["right"])
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        if number == 0:
            page.keyboard.press("Enter")
    page.click("#back")
    page.locator("#next").focus()
    for _ in range(4):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    equal("pages of a held key", page.locator("#count").inner_text(), "2 of 5")
    tab.close()


def damaged(browser):
    """A state that is damaged is begun again."""
    good = {"answers": {}, "list": 0, "at": 0, "started": "x", "finished": None}
    one = {"item": "a", "question": "b", "side": "left", "chosen": "c"}
    wrong = [{"answers": None}, {"answers": []}, {"answers": {"a": None}}, {"answers": {"a": one}, "at": "3"},
             {"list": 99}, {"list": "0"}, {"list": [0]}, {"at": 77}, {"at": 0.5}, {"started": 3}]
    texts = ["", "{", "null", "[1]", "3"] + [json.dumps({**good, **change}) for change in wrong]
    tab = Tab(browser, address(compare, "?participant=9"))
    page = tab.page
    study = json.loads(page.locator("#study").text_content())
    place = f"imagerag-study/{study['study']}/{study['version']}/9"
    for text in texts:
        page.evaluate("([place, text]) => localStorage.setItem(place, text)", [place, text])
        page.reload()
        expect(page.locator("#welcome").is_visible(), f"it does not begin again with {text}")
        tab.clean()
    begin(page)
    loaded(page)
    page.keyboard.press("ArrowLeft")
    page.reload()
    equal("the answer after that", checked(page), ["left"])
    tab.close()


def links(browser):
    """A link that is wrong is refused."""
    for query in ("list=0", "list=2.5", "list=999", "list=-1", "list=a", "list=", "participant=a%20b",
                  "participant=a%2Fb", "participant=%C3%A9", "participant=" + 65 * "a"):
        tab = Tab(browser, address(compare, "?" + query))
        told = tab.page.locator("#notice").inner_text()
        expect("cannot be used" in told, f"{query}: {told!r}")
        expect(tab.page.locator("#welcome").is_hidden(), f"it begins with {query}")
        tab.close()
    tab = Tab(browser, address(compare, "?participant=someone&list=2"))
    expect("someone, with list 2 of" in tab.page.locator("#who").inner_text(), "the list is another one")
    tab.close()


def again(browser):
    """The next participant finds nothing of the one before."""
    tab = Tab(browser, address(compare, "?participant=4"))
    page = tab.page
    page.on("dialog", lambda dialog: dialog.accept())
    begin(page)
    while page.locator("#item").is_visible():
        loaded(page)
        for question in range(3):
            choose(page, question, "left", True)
        page.click("#next")
    page.click("#again")
    page.wait_for_selector("#welcome:visible")
    expect("participant 4" not in page.locator("#who").inner_text(), "it is the same participant")
    left = page.evaluate("Object.entries(localStorage).flat().join()")
    expect("answers" not in left and not left.split(",")[0].endswith("/4"), f"it keeps {left}")
    tab.close()


with chromium() as browser:
    comparison(browser)
    phone(browser)
    rating(browser)
    send(browser)
    for check in (blocked, held, damaged, links, again):
        check(browser)
    orders = [order(browser, f"?participant={name}") for name in (1, 2, "someone")]
    expect(orders[0] != orders[1], "two participants see the same order")
    equal("the order of the same participant", order(browser, "?participant=1"), orders[0])
print("good")
