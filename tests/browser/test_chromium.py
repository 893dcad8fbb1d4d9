"""The page in a real Chromium: what people do, from opening it to running the selection that they wrote."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import from_yaml
from internvid_pipeline.engine import run_dataset
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.records import SelectionRecord
from internvid_pipeline.report.facts import gather
from internvid_pipeline.report.write import write_report
from tests.browse.conftest import Client, client, strange_root  # noqa: F401 - fixtures
from tests.browse.strange_set import CAPTIONS, strange_config

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytest.importorskip("selenium", reason="selenium drives the browser here")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not here (apt-get install chromium chromium-driver)"
)

ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *(
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1400,900",
        "--autoplay-policy=no-user-gesture-required",
    ),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tempfile.mkdtemp(prefix="chromium-")
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))  # its own path given: nothing is looked for on the network
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


def wait(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `what` gives as soon as it gives something; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


class Page:
    """The page, in the words of those who use it."""

    def __init__(self, driver: Any, client: Client) -> None:  # noqa: F811
        self.driver, self.client = driver, client
        driver.get(client.server.url)
        wait(lambda: self.cards() and self.kept() is not None and self.all("fieldset.slider"))

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def js(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def cards(self) -> list[str]:
        """Captions that are shown."""
        return self.js("return [...document.querySelectorAll('article.card .caption')].map((node) => node.textContent)")

    def kept(self) -> int | None:
        return self.js("const node = document.getElementById('kept-count'); return node && Number(node.dataset.count)")

    def total(self) -> int:
        return self.js("return Number(document.getElementById('total').dataset.count)")

    def keys(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def search(self, text: str) -> None:
        from selenium.webdriver.common.keys import Keys

        self.one("#search-text").send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE, text)


@pytest.fixture
def page(chromium: Any, client: Client) -> Iterator[Page]:  # noqa: F811
    chromium.get_log("browser")
    yield Page(chromium, client)
    wrong = [
        entry["message"] for entry in chromium.get_log("browser") if "404" not in entry["message"]
    ]  # no frame was kept of a broken file
    assert not wrong, wrong
    assert chromium.title == "strange-set · internvid browse", "a title or caption has become code"


def test_open_search_and_filter(page: Page):
    clips = page.client.clips()
    assert page.cards() == [clip["caption"] for clip in clips] and page.total() == len(clips)
    assert not page.js("return document.querySelectorAll('.card script, .card b, .card .caption img').length")
    for words, caption in (("白色的猫", CAPTIONS[0]), ("على الطاولة", CAPTIONS[1])):
        page.search(words)
        wait(lambda caption=caption: set(page.cards()) == {f"{caption} ."})
        assert page.total() == sum(clip["caption"] == f"{caption} ." for clip in clips)
    page.search("nothing is called so")
    wait(lambda: page.total() == 0)
    page.search("")
    wait(lambda: page.total() == len(clips))
    page.one('details[data-filter="languages"] summary').click()
    chosen = next(label for label in page.all('details[data-filter="languages"] label') if label.text.startswith("ar"))
    chosen.click()
    arabic = sum(clip["video_language"] == "ar" for clip in clips)
    assert wait(lambda: page.kept() == page.total() == arabic) and 0 < arabic < len(clips)


def test_a_clip_plays_to_its_end(page: Page):
    page.all("article.card")[0].click()
    wait(lambda: page.js("return Boolean(document.getElementById('player'))"))
    state = "const v = document.getElementById('player'); return v && [v.ended, v.currentTime, v.duration, v.error?.message, v.videoWidth]"
    ended, at_s, duration_s, error, width_px = wait(lambda: (found := page.js(state)) and (found[0] or found[3]) and found)
    assert ended and error is None and width_px == 160
    assert at_s == pytest.approx(duration_s, abs=0.1) and duration_s == pytest.approx(page.client.clips()[0]["duration_s"], abs=0.1)
    assert "made-captioner" in page.one("#captions").text and len(page.all("#captions tr")) == 2
    assert "ending" in page.one("#captions").text, "the field in which the two fingerprints differ"
    assert page.js("return document.querySelectorAll('#captions mark').length") == 1
    assert page.js("return [...document.querySelectorAll('.strip img')].every((image) => image.complete && image.naturalWidth > 0)")


def test_marks_by_keyboard(page: Page):
    from selenium.webdriver.common.keys import Keys

    page.keys(Keys.ARROW_RIGHT, "k", "r", Keys.ARROW_RIGHT, "k", "k", "u")
    verdicts = "return [...document.querySelectorAll('article.card')].map((node) => node.dataset.mark)"
    wait(lambda: page.js(verdicts)[:6] == ["keep", "reject", "none", "keep", "keep", "none"])
    wait(lambda: page.all("#quality") and "3 marked keep, 1 reject" in page.one("#quality").text)
    assert "precision 75 %, recall 100 %" in page.one("#quality").text
    assert [clip["mark"] for clip in page.client.clips()][:5] == ["keep", "reject", "none", "keep", "keep"]
    wait(lambda: len(page.all('fieldset[data-column="alignment"] polyline')) == 2)
    for clip in page.client.clips():
        page.client.post("mark", {"number": clip["number"], "verdict": "none"})


def test_a_slider_and_the_selection_that_is_run(page: Page, strange_root: Path):  # noqa: F811
    everything = page.kept()
    handle = page.one('fieldset[data-column="alignment"] input[type="range"]')
    page.js("arguments[0].focus()", handle)
    from selenium.webdriver.common.keys import Keys

    for _ in range(3):
        handle.send_keys(Keys.PAGE_UP)
    wait(lambda: page.kept() is not None and page.kept() < everything)
    top = page.one('input[aria-label="keep the top share by motion"]')
    top.send_keys("50", Keys.TAB)
    wait(lambda: len(page.all("#counts .steps li")) == 2)
    time.sleep(0.3)
    kept = page.kept()
    assert kept and 0 < kept < everything
    page.one("#write").click()
    text = wait(lambda: page.one("#yaml").text)
    page.keys(Keys.ESCAPE)
    selections = from_yaml(text)["stages"]["select_clips"]["selections"]
    assert [set(rule) for rule in selections["chosen"]["rules"]] == [{"column", "minimum"}, {"column", "top_ratio"}]
    before = open_dataset(str(strange_root))[1]
    config = strange_config(strange_root, strange_root.parent / "videos" / "list.jsonl", " .", **selections)
    assert not run_dataset(config, engine="inline").errors
    opened, _, plans, partitions = open_dataset(str(strange_root))
    folder = next(plan.folder for plan in plans if plan.name == "select_clips")
    rows = [row for partition in partitions for row in read_rows(opened, folder, partition, SelectionRecord)]
    run_dataset(before, engine="inline")
    assert sum(row.selection == "chosen" for row in rows) == kept


def test_what_was_lost(page: Page):
    page.one("#tab-lost").click()
    wait(lambda: page.js("return [...document.querySelectorAll('article.lost')].length"))
    page.one('button.reason[data-name="below_minimum"]').click()
    lost = "return [...document.querySelectorAll('article.lost')].map((node) => [node.dataset.kind, node.dataset.name])"
    wait(lambda: {name for _, name in page.js(lost)} == {"below_minimum"})
    page.all("article.lost")[0].click()
    wait(lambda: page.js("const v = document.getElementById('player'); return v && v.readyState > 1"))
    assert "is below 1" in page.one("#detail").text
    page.one('button.reason[data-name="UnreadableMedia"]').click()
    wait(lambda: page.js(lost) == [["failed", "UnreadableMedia"]])
    assert "<b>broken<_b>.mp4" in page.one("article.lost").text
    page.one("#tab-clips").click()
    wait(lambda: page.cards() and page.all("fieldset.slider"))


def overlaps(driver: Any) -> list[str]:
    """Texts within one figure that cover each other, and elements that stick out of the page."""
    return driver.execute_script(
        """
        const wrong = [];
        for (const figure of document.querySelectorAll("figure svg")) {
          const told = [...figure.querySelectorAll("text")].filter((node) => node.textContent.trim());
          const texts = told.map((node) => [node.textContent, node.getBoundingClientRect()]);
          const frame = figure.getBoundingClientRect();
          texts.forEach(([text, a], index) => {
            if (a.left < frame.left - 2 || a.right > frame.right + 2) wrong.push(`cut off: ${text}`);
            for (const [other, b] of texts.slice(index + 1)) {
              const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
              const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
              if (width > 1.5 && height > 3) wrong.push(`${text} over ${other}`);
            }
          });
        }
        if (document.documentElement.scrollWidth > window.innerWidth + 1) wrong.push("wider than the window");
        return wrong;
        """
    )


@pytest.fixture(scope="module")
def report(strange_root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: F811
    opened, config, plans, partitions = open_dataset(str(strange_root))
    files = write_report(gather(opened, config.name, plans, partitions, made_at="now"), tmp_path_factory.mktemp("report"))
    return files[0].as_uri()


@pytest.mark.parametrize("width_px", [1280, 700])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_shows_everything_and_nothing_overlaps(chromium: Any, report: str, scheme: str, width_px: int):
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    chromium.set_window_size(width_px, 900)
    chromium.get_log("browser")
    chromium.get(report)
    assert overlaps(chromium) == []
    assert chromium.execute_script("return [...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    ink, paper = chromium.execute_script("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    brightness = lambda colour: sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])  # noqa: E731
    assert (brightness(ink) < brightness(paper)) == (scheme == "light") and abs(brightness(ink) - brightness(paper)) > 450
    assert not chromium.get_log("browser")
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    chromium.set_window_size(1400, 900)
