"""The page about a run in a browser: the slider moves the curves, on a phone as well, without a network."""

from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from meta.report.command import report
from tests.meta.report.report_cases import drawn, evaluate, points_of, trained

pytestmark = pytest.mark.cpu_only

WITHOUT = "TAICHISOFT_WITHOUT_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--hide-scrollbars",
)
STEPS = 5
PHONE = 375
# Pixels of the smallest text, as it is shown.
LEAST_TEXT = 10.5

TEXTS = """
return [...document.querySelectorAll("body *")].flatMap((element) => {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const box = element.getBoundingClientRect();
  if (!own || box.width === 0 || ["SCRIPT", "STYLE"].includes(element.tagName)) return [];
  const zoom = element instanceof SVGElement ? element.getScreenCTM().a : 1;
  const size = zoom * parseFloat(getComputedStyle(element).fontSize);
  const inside = element.closest(".table") !== null;
  return [[element.textContent.trim(), size, box.left, box.right, inside]];
});
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    binary = next((found for name in NAMES if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        if os.environ.get(WITHOUT) == "1":
            pytest.skip(f"no Chromium, and {WITHOUT}=1")
        pytest.fail(
            "no Chromium: install it with its driver (Debian: apt-get install chromium chromium-driver), or "
            f"set {WITHOUT}=1 to go without these tests"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(driver))
    yield made
    made.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Return the page about a run of a spline, evaluated, with a name that has to be escaped."""
    folder = trained(tmp_path_factory.mktemp("run") / "a<b> & c", outer_steps=STEPS)
    evaluate(folder, tmp_path_factory.mktemp("evaluation") / "points")
    return report(folder.path, problems=0)


@pytest.fixture
def shown(browser, page):
    """Open the page in a wide window; afterwards nothing may have failed, or asked for anything."""
    resize(browser, 1200)
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(page.as_uri())
    yield browser
    assert browser.get_log("browser") == []
    messages = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [
        m["params"]["request"]["url"]
        for m in messages
        if m["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in asked
    assert all(url == page.as_uri() or url.startswith("data:") for url in asked)


def resize(browser, width: int) -> None:
    size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def outlines(browser) -> dict[str, str]:
    """Return the paths of all lines by their names."""
    paths = browser.find_elements(By.CSS_SELECTOR, "figure .chart path.line")
    return {path.get_attribute("id"): path.get_attribute("d") for path in paths}


def numbers_in(browser) -> dict:
    return json.loads(browser.execute_script("return document.getElementById('data').textContent"))


def test_slider_moves_the_curves(shown):
    slider = shown.find_element(By.ID, "step")
    assert slider.is_displayed()
    data = numbers_in(shown)
    moving = {name for chart in data["charts"].values() for name in chart["lines"]}
    assert len(moving) == 2
    seen = [outlines(shown)]
    for step in reversed(range(STEPS)):
        # With the keyboard.
        slider.send_keys(Keys.ARROW_LEFT)
        said = f"after outer step {step} of {STEPS}" if step else "before the first outer step"
        assert shown.find_element(By.ID, "words").text == said
        assert slider.get_attribute("aria-valuetext") == said
        place = data["places"][step]
        readings = [
            shown.find_element(By.ID, f"reading-{i}").text for i in range(len(place["values"]))
        ]
        assert readings == place["values"]
        seen.append(outlines(shown))
    for before, after in pairwise(seen):
        assert {name for name in before if before[name] != after[name]} == moving
    for step, found in enumerate(reversed(seen)):
        for chart in data["charts"].values():
            for name, steps in chart["lines"].items():
                expected = drawn(chart, steps[step])
                assert np.array(points_of(found[name])) == pytest.approx(
                    np.array(expected), abs=0.06
                )
    slider.send_keys(Keys.END)
    assert outlines(shown) == seen[0]


def test_program_draws_the_last_step_as_the_page_has_it(shown, page):
    before = {
        name: points_of(path)
        for name, path in shown.execute_script(
            "const page = new DOMParser().parseFromString(arguments[0], 'text/html');"
            "return [...page.querySelectorAll('figure .chart path.line')].map("
            "(path) => [path.id, path.getAttribute('d')]);",
            page.read_text(encoding="utf-8"),
        )
    }
    after = {name: points_of(path) for name, path in outlines(shown).items()}
    assert before.keys() == after.keys()
    for name, points in before.items():
        # Each is rounded to a tenth.
        assert np.array(points) == pytest.approx(np.array(after[name]), abs=0.11)


def test_marks_follow_the_slider(shown):
    slider = shown.find_element(By.ID, "step")
    data = numbers_in(shown)
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    marked = {key: chart for key, chart in data["charts"].items() if chart["marked"]}
    assert {"objective", "gradient-norm", "parameter-0"} <= marked.keys()
    for key, chart in marked.items():
        left, right, _, _ = chart["limits"]
        start, end, top, _ = chart["box"]
        x = start + (2 - left) / (right - left) * (end - start)
        found = shown.find_element(By.ID, f"now-{key}").get_attribute("d")
        assert points_of(found.split("V")[0]) == [pytest.approx((x, top), abs=0.06)]
    # The history has no step 0.
    slider.send_keys(Keys.HOME)
    now = shown.find_element(By.ID, "now-objective")
    assert now.value_of_css_property("visibility") == "hidden"
    now = shown.find_element(By.ID, "now-parameter-0")
    assert now.value_of_css_property("visibility") == "visible"


def test_button_plays_the_steps(shown):
    button, slider = (shown.find_element(By.ID, name) for name in ("play", "step"))
    last = outlines(shown)
    button.click()
    assert (button.text, button.get_attribute("aria-pressed")) == ("Pause", "true")
    assert slider.get_attribute("value") == "0"
    assert outlines(shown) != last
    waiting = WebDriverWait(shown, 20, poll_frequency=0.1)
    waiting.until(lambda browser: button.text == "Play")
    assert slider.get_attribute("value") == str(STEPS)
    assert outlines(shown) == last


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_shows_all_of_it(shown, scheme):
    preference = {"name": "prefers-color-scheme", "value": scheme}
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
    resize(shown, PHONE)
    width = shown.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width == [PHONE, PHONE]
    shown.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; });")
    assert shown.execute_script("return document.documentElement.scrollWidth") == PHONE
    texts = shown.execute_script(TEXTS)
    assert len(texts) > 200
    for text, size, left, right, in_table in texts:
        assert size >= LEAST_TEXT, text
        assert in_table or (left >= 0 and right <= PHONE), text
    colors = [
        shown.find_element(By.TAG_NAME, "body").value_of_css_property(name)
        for name in ("color", "background-color")
    ]
    ink, paper = (
        np.array(list(map(float, c[c.index("(") + 1 : -1].split(",")[:3]))) for c in colors
    )
    assert (ink.mean() > 200, paper.mean() < 50) == ((scheme == "dark"),) * 2


def test_name_of_the_run_is_a_text(shown):
    assert shown.find_element(By.TAG_NAME, "h1").text == "Run a<b> & c"
    assert shown.title == "Run a<b> & c"
