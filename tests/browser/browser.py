"""A headless Chromium over the page, asked as a user would: by names, keys and what can be seen."""

import base64
import os
import re
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from support.waiting import wait_until

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-breakpad",
           "--disable-background-networking", "--no-first-run", "--lang=en-US", "--proxy-server=direct://")

# The least contrast of every text to what is behind it, and of every field's border (WCAG 2.2, 1.4.3 and 1.4.11).
CONTRASTS = """
const channels = (text) => text.match(/[\\d.]+/g).map(Number);
const clear = (text) => text === "transparent" || channels(text)[3] === 0;
const luminance = (text) => {
  const [r, g, b] = channels(text).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  for (; node; node = node.parentElement)
    if (!clear(getComputedStyle(node).backgroundColor)) return getComputedStyle(node).backgroundColor;
  return "rgb(255, 255, 255)";
};
const ratio = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const shown = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility());
const texts = shown.filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
const fields = shown.filter((node) => node.matches("input"));
const name = (node) => node.id || node.textContent.trim().slice(0, 30);
return [
  ...texts.map((node) => [name(node), 4.5, ratio(getComputedStyle(node).color, behind(node))]),
  ...fields.map((node) => [node.id, 4.5, ratio(getComputedStyle(node).color, behind(node))]),
  ...fields.map((node) => [`${node.id}'s border`, 3, ratio(getComputedStyle(node).borderTopColor, behind(node.parentElement))]),
];
"""


class Browser:
    """One browser; `open` gives it a fresh page."""

    def __init__(self, folder):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for each in (*OPTIONS, f"--user-data-dir={folder}/profile", "--window-size=1024,900"):
            options.add_argument(each)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"),
                                                                         log_path=f"{folder}/chromedriver.log"))
        self.shots = os.environ.get("LARDER_SCREENSHOTS") or f"{folder}/shots"
        os.makedirs(self.shots, exist_ok=True)

    def close(self):
        self.driver.quit()

    def open(self, url, dark=False, width=None, forced=False, scripts=True):
        self.emulate("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "forced-colors", "value": "active" if forced else "none"}])
        if width:
            self.emulate("Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=2, mobile=True)
        else:
            self.emulate("Emulation.clearDeviceMetricsOverride")
        self.emulate("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.driver.get(url)
        self.driver.get_log("browser")  # the log of the page before

    def emulate(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def shot(self, name):
        """The whole page, seen or not, as a picture."""
        size = self.emulate("Page.getLayoutMetrics")["cssContentSize"]
        picture = self.emulate("Page.captureScreenshot", captureBeyondViewport=True, clip={**size, "scale": 1})
        with open(f"{self.shots}/{name}.png", "wb") as file:
            file.write(base64.b64decode(picture["data"]))

    # What is there

    def element(self, name):
        return self.driver.find_element(By.ID, name)

    def text(self, name):
        """What a user can read in that element; None where it is not shown."""
        element = self.element(name)
        return element.text if element.is_displayed() else None

    @property
    def said(self):
        """The live region's text."""
        return self.text("said")

    @property
    def seconds(self):
        """The time left that is shown."""
        found = re.match(r"(\d+) seconds?$", self.text("left") or "")
        return int(found[1]) if found else None

    def focused(self):
        return self.run("const e = document.activeElement; return e.id || e.textContent.trim()")

    def complaints(self):
        """What the console says, but for answers that are no success."""
        return [entry["message"] for entry in self.driver.get_log("browser") if "Failed to load resource" not in entry["message"]]

    def contrasts(self):
        return self.run(CONTRASTS)

    def tree(self):
        """The accessibility tree's nodes as pairs (role, name), those that a screen reader passes by left out."""
        nodes = self.emulate("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    # What a user does

    def fill(self, name, text):
        field = self.element(name)
        field.clear()
        field.send_keys(text)

    def set(self, key, value):
        self.fill("set-key", key)
        self.fill("set-value", value)
        self.element("set").find_element(By.TAG_NAME, "button").click()

    def get(self, key):
        self.fill("get-key", key)
        self.element("get").find_element(By.TAG_NAME, "button").click()

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def tab(self, times=1):
        self.press(*[Keys.TAB] * times)

    def wait_said(self, text, deadline=10):
        return wait_until(lambda: text in (self.said or ""), deadline, f"“{text}” said")
