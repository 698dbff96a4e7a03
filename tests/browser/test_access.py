"""The page of sql/kv for everybody: by keyboard, by screen reader, in any colours, on a phone."""

import pytest
from selenium.webdriver.common.keys import Keys

from support.stack import pack
from support.waiting import wait_until

LONG = "unbroken" * 12
THEMES = {"light": False, "dark": True}


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack(f"{pack('kv')}/routes")


@pytest.fixture
def open_page(browser, served):
    """A function that opens the page, with a value shown if it is named."""
    def opened(key=None, value="hello", **options):
        browser.open(f"{served.url}/kv/", **options)
        if key:
            browser.set(key, value)
            browser.wait_said("is set for 60 seconds.")
        return browser

    yield opened
    assert browser.complaints() == []


def test_everything_can_be_done_by_keyboard(open_page):
    page = open_page()
    visited = []
    for _ in range(5):
        page.tab()
        visited.append(page.focused())
    assert visited == ["set-key", "set-value", "Set", "get-key", "Get"]
    page.run("document.activeElement.blur()")
    page.element("set-key").send_keys("typed", Keys.TAB, "a value", Keys.TAB, Keys.ENTER)
    page.wait_said("“typed” is set")
    assert page.focused() == "Set"
    page.tab()
    page.press(Keys.CONTROL, "a")


def test_enter_in_a_field_sends_the_form(open_page):
    page = open_page("entered")
    page.fill("get-key", "entered")
    page.press(Keys.ENTER)
    page.wait_said("“entered” is “hello”")
    assert page.focused() == "get-key"


def test_the_response_as_sent_opens_by_keyboard(open_page):
    page = open_page("opened")
    page.element("get-key").send_keys(Keys.TAB, Keys.TAB)
    assert page.focused() == "As it was sent"
    page.press(Keys.SPACE)
    wait_until(lambda: "200" in (page.text("sent") or ""), 5)
    page.tab()
    assert page.focused() == "sent"


def test_the_focus_can_be_seen(open_page):
    page = open_page()
    for _ in range(5):
        page.tab()
        style = page.run("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]")
        assert style == ["solid", "3px"], page.focused()


def test_a_screen_reader_finds_everything_by_role_and_name(open_page):
    page = open_page("read")
    tree = page.tree()
    for node in [("textbox", "Key"), ("textbox", "Value"), ("button", "Set"), ("button", "Get"),
                 ("heading", "Key and value"), ("heading", "Set"), ("heading", "Get"), ("heading", "Response"),
                 ("form", "Set"), ("form", "Get"), ("region", "Response"), ("timer", "Time left")]:
        assert node in tree, tree
    roles = [role for role, _ in tree]
    assert roles.count("textbox") == 3 and roles.count("button") == 2
    assert roles.count("main") == roles.count("banner") == roles.count("status") == 1
    nameless = [role for role, name in tree if role in ("textbox", "button", "form", "region", "timer") and not name]
    assert nameless == []


def test_the_page_has_a_language_a_title_and_headings_in_order(open_page):
    page = open_page("headed")
    assert page.run("return document.documentElement.lang") == "en"
    assert page.driver.title == "Key and value – Larder"
    levels = page.run("return [...document.querySelectorAll('h1,h2,h3')].map((each) => each.tagName)")
    assert levels == ["H1", "H2", "H2", "H2"]
    assert page.run("const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);"
                    "return ids.length === new Set(ids).size")
    assert page.run("return [...document.querySelectorAll('[aria-labelledby],[aria-describedby]')].every((e) =>"
                    "(e.getAttribute('aria-labelledby') ?? e.getAttribute('aria-describedby')).split(' ')"
                    ".every((id) => document.getElementById(id)))")


def test_the_seconds_are_not_read_out_one_by_one(open_page):
    page = open_page("quiet")
    page.run("window.changes = 0; new MutationObserver(() => window.changes++).observe(document.getElementById('said'),"
             "{childList: true, characterData: true, subtree: true})")
    begin = page.seconds
    wait_until(lambda: page.seconds <= begin - 2, 10, "two seconds less")
    assert page.run("return window.changes") == 0
    assert page.run("return document.getElementById('left').closest('[aria-live], [role=status]')") is None


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_has_contrast(open_page, theme):
    page = open_page("contrast", "x" * 10, dark=THEMES[theme])
    page.element("raw").click()
    page.get("..")  # a field's problem
    measured = page.contrasts()
    assert len(measured) > 20
    assert [each for each in measured if each[2] < each[1]] == []
    page.shot(f"{theme}-problem")


@pytest.mark.parametrize("theme", THEMES)
def test_it_follows_the_systems_colours(open_page, theme):
    page = open_page("shown", "What is kept here ends by itself.", dark=THEMES[theme])
    page.shot(theme)
    ground = page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(ground) < 64) if THEMES[theme] else (min(ground) > 224), ground


def test_without_colours_of_its_own(open_page):
    """Forced colours: fields, buttons and the rest of the time still have an outline."""
    page = open_page("forced", forced=True)
    page.shot("forced-colours")
    for each in ("#set-key", "#set button", "#bar"):
        assert page.run(f"return getComputedStyle(document.querySelector('{each}')).borderTopStyle") == "solid"


@pytest.mark.parametrize("width", [360, 320])
@pytest.mark.parametrize("theme", THEMES)
def test_a_phone_never_scrolls_sideways(open_page, width, theme):
    page = open_page(LONG, LONG * 8, dark=THEMES[theme], width=width)
    page.element("raw").click()
    page.shot(f"phone-{width}-{theme}")
    assert page.run("return window.innerWidth") == width
    assert page.run("return document.documentElement.scrollWidth") == width
    wide = page.run("return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() &&"
                    "e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.id || e.tagName)")
    assert wide == []


def test_a_thumb_finds_everything(open_page):
    """Targets of 44 pixels, and text that no phone zooms into."""
    page = open_page("thumb", width=360)
    sizes = page.run("return [...document.querySelectorAll('input, button, summary')].filter((e) => e.checkVisibility())"
                     ".map((e) => [e.id || e.textContent, e.getBoundingClientRect().height])")
    assert len(sizes) == 6
    assert [each for each in sizes if each[1] < 44] == []
    assert page.run("return [...document.querySelectorAll('input')].every((e) => parseFloat(getComputedStyle(e).fontSize) >= 16)")


def test_the_answer_comes_into_view(open_page):
    page = open_page("seen", width=320)
    box = page.run("const b = document.getElementById('said').getBoundingClientRect(); return [b.top, b.bottom, innerHeight]")
    assert 0 <= box[0] and box[1] <= box[2]


def test_a_long_value_is_shown_and_not_read_out_whole(open_page, served):
    served.redis.client().set("larder:v:novel", "word " * 200, ex=60)
    page = open_page()
    page.get("novel")
    page.wait_said("“novel” is")
    assert len(page.said) < 200
    assert "…" in page.said
    assert len(page.element("value").get_attribute("textContent")) == 1000


def test_text_twice_as_large_still_fits(open_page):
    page = open_page("large", LONG, width=360)
    page.run("document.documentElement.style.fontSize = '200%'")
    page.shot("phone-large-text")
    assert page.run("return document.documentElement.scrollWidth") == 360
