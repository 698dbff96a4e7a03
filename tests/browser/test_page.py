"""The page of sql/kv in a browser: set, get, the time left, and what goes wrong."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

from support.stack import pack
from support.waiting import wait_until

TTL = 5


def routes(name):
    with open(f"{pack('kv')}/routes/{name}.sql", encoding="utf-8") as route:
        return route.read()


@pytest.fixture(scope="module")
def served(shared_stack):
    return shared_stack({name: routes(name) for name in ("set", "get")})


@pytest.fixture(scope="module")
def brief(shared_stack):
    """The same with values that end soon."""
    shorter = routes("set").replace("ttl=60s", f"ttl={TTL}s")
    assert shorter != routes("set")
    return shared_stack({"set": shorter, "get": routes("get")})


@pytest.fixture
def page(browser, served):
    browser.open(f"{served.url}/kv/")
    yield browser
    assert browser.complaints() == []


@pytest.fixture
def brief_page(browser, brief):
    browser.open(f"{brief.url}/kv/")
    yield browser
    assert browser.complaints() == []


def value_in(stack, key):
    value = stack.redis.client().get(f"larder:v:{key}")
    return value and value.decode()


# Set and get

def test_a_value_is_set_and_shown(page, served):
    page.set("greeting", "hello")
    page.wait_said("“greeting” is set for 60 seconds.")
    assert value_in(served, "greeting") == "hello"
    assert (page.text("key"), page.text("value"), page.text("source")) == ("greeting", "hello", "what you have just set")
    assert 50 <= page.seconds <= 60
    assert page.element("get-key").get_property("value") == "greeting"


def test_a_value_is_got_with_its_source_and_time(page, served):
    served.redis.client().set("larder:v:kept", "a value", ex=40)
    page.get("kept")
    page.wait_said("“kept” is “a value”, for ")
    assert 30 <= int(re.search(r", for (\d+) seconds more\.$", page.said)[1]) <= 40
    assert (page.text("key"), page.text("value"), page.text("source")) == ("kept", "a value", "cache")
    assert 30 <= page.seconds <= 40


def test_the_response_can_be_seen_as_it_was_sent(page, served):
    served.redis.client().set("larder:v:raw", "x", ex=40)
    page.get("raw")
    page.wait_said("“raw”")
    assert page.text("sent") is None
    page.element("raw").click()
    assert page.text("sent") == '200 OK\n{"key":"raw","value":"x","source":"cache"}'


def test_a_key_that_is_not_there(page):
    page.get("nothing")
    page.wait_said("Key not found.")
    assert page.text("value") is None
    assert "problem" not in page.element("said").get_attribute("class").split()


def test_a_value_that_stays_has_no_time(page, served):
    served.redis.client().set("larder:v:forever", "x")
    page.get("forever")
    page.wait_said("“forever” is “x”.")
    assert page.text("left") == "it stays"
    assert page.text("bar") is None


@pytest.mark.parametrize("key, value", [
    ("a/b?c#d%&+ü", "100% “quoted” \\ 'text'"), ("<b>bold</b>", "<img src=x onerror=document.title='gone'>"), ("..a", ""),
])
def test_any_key_and_value(page, key, value):
    title = page.driver.title
    page.set(key, value)
    page.wait_said(f"“{key}” is set")
    page.get(key)
    page.wait_said(f"“{key}” is “{value}”")
    assert (page.text("key"), page.text("value"), page.text("source")) == (key, value, "cache")
    assert page.driver.title == title


# Time

def test_the_time_counts_down(page):
    page.set("counted", "x")
    page.wait_said("“counted” is set")
    begin = page.seconds
    wait_until(lambda: page.seconds <= begin - 2, 10, "two seconds less")
    part, seconds = page.run("return [document.getElementById('rest').getBoundingClientRect().width / "
                             "document.getElementById('bar').clientWidth, parseInt(document.getElementById('left').textContent)]")
    assert (seconds - 1.5) / 60 < part < (seconds + 0.5) / 60


def test_a_value_is_gone_when_its_time_is_over(brief_page):
    page = brief_page
    page.set("brief", "x")
    page.wait_said(f"“brief” is set for {TTL} seconds.")
    page.wait_said("The time of “brief” is over.", TTL + 5)
    assert page.text("value") is None
    page.get("brief")
    page.wait_said("Key not found.")


def test_a_value_that_was_set_anew_meanwhile_is_shown(brief_page, brief):
    page = brief_page
    page.set("anew", "old")
    page.wait_said("“anew” is set")
    brief.redis.client().set("larder:v:anew", "new", ex=50)
    page.wait_said("“anew” was set anew.", TTL + 5)
    assert (page.text("value"), page.text("source")) == ("new", "cache")
    assert 30 <= page.seconds <= 50


def test_another_question_ends_the_count(brief_page):
    page = brief_page
    page.set("left", "x")
    page.wait_said("“left” is set")
    page.get("nothing")
    page.wait_said("Key not found.")
    page.run("const said = document.getElementById('said'); window.changes = 0;"
             "new MutationObserver(() => window.changes++).observe(said, {childList: true, characterData: true, subtree: true});"
             f"setTimeout(() => window.over = true, {TTL * 1000 + 500})")
    wait_until(lambda: page.run("return window.over"), TTL + 5)
    assert page.run("return window.changes") == 0


def test_a_late_answer_does_not_replace_a_newer_one(page, served):
    for key in ("slow", "quick"):
        served.redis.client().set(f"larder:v:{key}", key, ex=60)
    page.run("const real = window.fetch; window.fetch = (path, options) => path.endsWith('slow')"
             " ? new Promise((done) => { window.release = () => done(real(path, options)); }) : real(path, options)")
    page.get("slow")
    assert page.element("answer").get_attribute("aria-busy") == "true"
    page.get("quick")
    page.wait_said("“quick” is")
    page.run("window.release(); return new Promise((done) => setTimeout(done, 300))")
    assert page.text("value") == "quick"
    assert page.element("answer").get_attribute("aria-busy") == "false"


# Faults

def test_a_field_with_a_fault_is_marked_and_has_the_focus(page):
    page.set("k" * 101, "x")
    wait_until(lambda: page.text("set-key-problem"), 10, "the field's problem")
    field = page.element("set-key")
    assert page.text("set-key-problem").startswith("The key must ")
    assert field.get_attribute("aria-invalid") == "true"
    assert "set-key-problem" in field.get_attribute("aria-describedby")
    assert page.focused() == "set-key"
    page.fill("set-key", "short")
    page.press(Keys.ENTER)
    page.wait_said("“short” is set")
    assert page.text("set-key-problem") is None
    assert field.get_attribute("aria-invalid") == "false"


def test_an_empty_key_is_not_sent(page):
    page.get("")
    assert page.said == "Nothing asked yet."
    assert page.focused() == "get-key"


@pytest.mark.parametrize("key", [".", ".."])
def test_a_key_that_browsers_take_for_a_folder(page, key):
    page.get(key)
    assert "browsers take for folders" in page.text("get-key-problem")
    assert page.focused() == "get-key"


def test_a_key_that_is_not_sent_ends_what_was_waited_for(page):
    """Its answer will not be shown, and a screen reader passes over what is busy."""
    page.run("window.fetch = () => new Promise(() => {})")
    page.get("slow")
    assert page.element("answer").get_attribute("aria-busy") == "true"
    page.get(".")
    assert page.element("answer").get_attribute("aria-busy") == "false"


def test_one_who_asks_too_often(browser, stack):
    served = stack({"set": routes("set").replace("120/min", "1/min"), "get": routes("get")})
    browser.open(f"{served.url}/kv/")
    browser.set("k", "v")
    browser.wait_said("“k” is set")
    browser.set("k", "w")
    browser.wait_said(" Try again in ")
    assert value_in(served, "k") == "v"


def test_redis_away(browser, stack):
    served = stack({name: routes(name) for name in ("set", "get")})
    browser.open(f"{served.url}/kv/")
    served.redis.kill()
    browser.set("k", "v")
    browser.wait_said("The store of values can't be reached. Try again in 1 second.")
    assert "problem" in browser.element("said").get_attribute("class").split()
    assert browser.text("value") is None
    served.redis.start()
    wait_until(lambda: browser.set("k", "v") or browser.wait_said("“k” is set", 1), 10)


def test_larder_and_nginx_away(browser, stack):
    served = stack({name: routes(name) for name in ("set", "get")})
    browser.open(f"{served.url}/kv/")
    served.api.stop()
    browser.get("k")
    browser.wait_said("The service is not running or broke off its answer. Try again in 2 seconds.")
    served.nginx.stop()
    browser.get("k")
    browser.wait_said("There was no answer.")
    assert browser.text("raw") is None


def test_without_javascript_it_says_so(browser, served):
    browser.open(f"{served.url}/kv/", scripts=False)
    source = browser.emulate("Runtime.evaluate", expression="document.querySelector('noscript').innerText",
                             returnByValue=True)
    assert "switched off" in source["result"]["value"]
