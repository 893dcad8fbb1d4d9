"""The report's numbers are those of the tables, and its page is whole, harmless and says what it shows."""

import io
import json
import re
from collections import Counter
from dataclasses import fields
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.engine import run_dataset
from internvid_pipeline.exporters.hub.statistics import SelectionStatistics
from internvid_pipeline.exporters.samples import read_samples
from internvid_pipeline.report.draw import draw_figure
from internvid_pipeline.report.examples import film_strip
from internvid_pipeline.report.facts import Facts, gather
from internvid_pipeline.report.figures import Bar, Figure, all_figures, even_edges
from internvid_pipeline.report.page import page_text
from internvid_pipeline.report.reading import SetReader, drawn_partitions
from internvid_pipeline.report.sample import Sample, read_sample
from internvid_pipeline.report.write import write_report
from tests.browse.conftest import strange_root  # noqa: F401 - the same set
from tests.browse.strange_set import CAPTIONS
from tests.made_stages import made_config


def facts_of(root: Path, **options: Any) -> Facts:
    opened, config, plans, partitions = open_dataset(str(root))
    return gather(opened, config.name, plans, partitions, made_at="2026-11-21", **options)


@pytest.fixture(scope="module")
def made_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    assert not run_dataset(made_config(folder / "root", folder / "videos", num_videos=40, partition_videos=4), engine="inline").errors
    return folder / "root"


@pytest.fixture(scope="module")
def facts(made_root: Path) -> Facts:
    return facts_of(made_root)


@pytest.fixture(scope="module")
def written(strange_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("report")
    files = write_report(facts_of(strange_root), folder)
    assert files[0] == folder / "report.html" and all(file.stat().st_size for file in files)
    return folder


def tables(root: Path, stage: str, ending: str = "parquet") -> str:
    return f"read_parquet({[str(p) for p in (root / stage).glob(f'*/[0-9][0-9][0-9][0-9][0-9].{ending}')]!r})"


def bars(facts: Facts, name: str) -> dict[str, int]:
    return {bar.label: bar.count for bar in next(figure for figure in facts.figures if figure.name == name).bars}


def test_the_funnel_closes_and_is_what_the_tables_hold(facts: Facts, made_root: Path):
    assert [row.stage for row in facts.stages][:2] == ["made_videos", "made_clips"] and facts.num_inputs == 40
    for row in facts.stages:
        assert row.closes and row.inputs == row.emitted + row.dropped + row.failed and row.not_taken == 0
        assert row.rows == duckdb.sql(f"SELECT count(*) FROM {tables(made_root, row.stage)}").fetchall()[0][0]


def test_a_sum_that_does_not_close_is_said(facts: Facts):
    from dataclasses import replace

    broken = replace(facts, stages=(replace(facts.stages[0], emitted=facts.stages[0].emitted - 1), *facts.stages[1:]))
    assert not broken.stages[0].closes and "<td" in (page := page_text(broken, {"funnel": draw_figure(facts.figures[0])} | pictures(facts)))
    assert "NO" in re.findall(r"<td[^>]*>([^<]*)</td>", page)


def pictures(facts: Facts) -> dict[str, Any]:
    drawing = draw_figure(facts.figures[0])
    return {figure.name: drawing for figure in facts.figures}


def test_figures_are_what_the_tables_hold(facts: Facts, made_root: Path):
    clips, videos = tables(made_root, "made_clips"), tables(made_root, "made_videos")
    assert sum(bars(facts, "clip_length").values()) == duckdb.sql(f"SELECT count(*) FROM {clips}").fetchall()[0][0]
    languages = duckdb.sql(f"SELECT language, count(*) FROM {videos} WHERE language IS NOT NULL GROUP BY 1").fetchall()
    assert bars(facts, "languages") == dict(languages) and len(languages) == 3
    for scorer in ("alignment", "aesthetic"):
        figure = next(figure for figure in facts.figures if figure.name == f"score_{scorer}")
        for bar in figure.bars:
            last = bar is figure.bars[-1]
            inside = f"value >= {bar.low} AND value {'<=' if last else '<'} {bar.high}"
            query = f"SELECT count(DISTINCT clip_id) FROM {tables(made_root, 'made_scores')} WHERE scorer = '{scorer}' AND {inside}"
            assert bar.count == duckdb.sql(query).fetchall()[0][0]
    assert {row.name: row.clips for row in facts.selections} == dict(
        duckdb.sql(f"SELECT selection, count(*) FROM {tables(made_root, 'select_clips')} GROUP BY 1").fetchall()
    )
    assert facts.has_stand_ins and {row.model.name for row in facts.models} == {"made-captioner", "made-scorer"}


def test_figures_are_those_of_the_data_card(facts: Facts, made_root: Path):
    """Counted by columns here and by samples there: the same edges, the same numbers."""
    opened, _, plans, partitions = open_dataset(str(made_root))
    statistics = SelectionStatistics()
    assert sum(1 for _ in statistics.counting(read_samples(opened, plans, partitions, "default"))) == statistics.num_clips
    assert list(bars(facts, "clip_length").values()) == statistics.durations
    assert list(bars(facts, "caption_length").values()) == statistics.caption_lengths
    assert bars(facts, "licences") == {name: count for name, count in statistics.licences.items() if name != "unknown"}
    assert bars(facts, "platforms") == dict(statistics.sources)


def test_figures_of_tables_in_very_many_pieces(made_root: Path):
    """As they come from many partitions: Arrow would share such tables among threads, in which not everything can be counted."""
    opened, _, plans, partitions = open_dataset(str(made_root))
    small = read_sample(SetReader(opened, plans, partitions), [], 0)
    large = {field.name: getattr(small, field.name) for field in fields(small)}
    tables = {name: pa.concat_tables([table] * 100) for name, table in large.items() if isinstance(table, pa.Table)}
    threads = pa.cpu_count()
    pa.set_cpu_count(2)  # as on any real machine, whatever this one is told
    try:
        found = {figure.name: figure.total for figure in all_figures(Sample(**{**large, **tables}))}
    finally:
        pa.set_cpu_count(threads)
    assert found["clip_length"] == 100 * small.clips.num_rows and found["caption_length"] == len(
        set(small.selections["clip_id"].to_pylist())
    )


def test_costs_stand_beside_the_work(made_root: Path):
    prices = {"made_clips": 1.25, "made_scores": 0.5}
    facts = facts_of(made_root, costs=lambda status: prices.get(status.stage, 0.0), currency="EUR")
    page = page_text(facts, {"funnel": draw_figure(facts.figures[0])} | pictures(facts))
    assert "cost in EUR" in page and ">1.25<" in page and ">1.75<" in page
    assert all(row.items_per_worker_hour > 0 for row in facts.work) and "cost in" not in page_text(
        facts_of(made_root), {"funnel": draw_figure(facts.figures[0])} | pictures(facts)
    )


def test_a_sample_says_so_and_its_counts_stay_exact(made_root: Path, facts: Facts):
    part = facts_of(made_root, most_clips=40)
    assert not part.is_whole and "A sample" in part.sampled and "drawn from 10" in part.sampled
    assert part.stages == facts.stages and part.num_inputs == facts.num_inputs
    assert 20 <= sum(bars(part, "clip_length").values()) <= 60
    assert facts_of(made_root, most_clips=40) == part


def test_the_page_is_whole_and_loads_nothing(written: Path):
    page = (written / "report.html").read_text()
    Strict().feed(page)
    assert (
        not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
        and "<script" not in page
        and "@import" not in page
        and "url(http" not in page
    )
    assert "default-src 'none'" in page and "prefers-color-scheme: dark" in page and "@media print" in page
    assert (
        page.count("<figure")
        == page.count("<svg")
        == len(re.findall(r"<figure[^>]*><h3>[^<]+</h3><p>[^<]+</p><svg role=\"img\" aria-label=", page))
    )
    for label in re.findall(r'aria-label="([^"]*)"', page):
        assert label.strip()
    assert "var(--bar)" in page and "#2f6f9f" not in page.split("</style>")[1]


ELEMENT_NAMES = """html head meta title style body h1 h2 h3 p em strong div dl dt dd figure details summary table thead tbody tr th td img
span svg g path defs use clippath text rect tspan lineargradient stop"""
ELEMENTS = frozenset(ELEMENT_NAMES.split())


class Strict(HTMLParser):
    """Fails where an element is not closed, or where there is one that a stranger's text has brought in."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag


def test_texts_of_strangers_are_text(written: Path):
    page = (written / "report.html").read_text()
    assert "<img src=x" not in page and "<script>" not in page and "&lt;img src=x onerror=" in page
    assert sum(escape(caption)[:200] in page for caption in CAPTIONS) >= 3
    assert not re.search(r"/\S*videos/", page), "paths of the machine that made it"


def test_the_files_beside_it(written: Path):
    data = json.loads((written / "report.json").read_text())
    assert data["stages"][0]["closes"] and data["is_whole"] and data["has_stand_ins"]
    names = {figure["name"] for figure in data["figures"] if figure["bars"]} | {"funnel"}
    assert (
        {path.stem for path in (written / "figures").glob("*.svg")} == {path.stem for path in (written / "figures").glob("*.png")} == names
    )
    for path in (written / "figures").glob("*.png"):
        assert min(Image.open(path).size) > 100
    markdown = (written / "tables.md").read_text()
    for figure in data["figures"]:
        for bar in figure["bars"]:
            assert f"| {bar['count']:,} |" in markdown
    assert "<script" not in markdown


def test_unfinished_sets_and_sets_without_clips(tmp_path: Path):
    config = made_config(tmp_path / "root", tmp_path / "videos", num_videos=4)
    run_dataset(config, engine="inline", until="made_videos")
    facts = facts_of(tmp_path / "root")
    assert facts.stages[1].inputs == 0 and facts.stages[1].not_taken == 4
    assert write_report(facts, tmp_path / "report")
    assert "Not finished: made_clips" in (tmp_path / "report" / "report.html").read_text()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_even_edges_hold_every_value(values: list[float]):
    edges = even_edges(values)
    assert edges[0] <= min(values) + 1e-9 * abs(min(values)) and edges[-1] >= max(values) - 1e-9 * abs(max(values))
    assert 2 <= len(edges) <= 20 and edges == sorted(edges)


@pytest.mark.parametrize(
    "label", ["$x^2$ and $\\frac{", "a\x00b\x1f", "\u202egnp.exe", "<b>&amp;</b>", "日本語 العربية 🎬", "x" * 500, "%s{}", "\ud800"]
)
def test_any_label_can_be_drawn(label: str):
    drawing = draw_figure(Figure("a", "A", "clips", "name", "A sentence.", (Bar(label, 3), Bar("b", 2)), False))
    assert Image.open(io.BytesIO(drawing.png)).size[0] > 100
    parser = __import__("xml.etree.ElementTree", fromlist=["fromstring"])
    assert parser.fromstring(drawing.svg) is not None and "\u202e" not in drawing.page_svg and "<b>" not in drawing.page_svg


def test_strips_of_what_is_no_picture():
    good = io.BytesIO()
    Image.new("RGB", (200, 100), "red").save(good, "JPEG")
    strip = film_strip([good.getvalue()] * 3)
    assert strip is not None and Image.open(io.BytesIO(strip)).size == (3 * 180 + 4, 90)
    other = io.BytesIO()
    Image.new("RGB", (20, 10)).save(other, "TIFF")
    assert film_strip([b"no picture"]) is None and film_strip([other.getvalue()]) is None and film_strip([good.getvalue()[:300]]) is None


def test_draws_of_partitions():
    drawn = drawn_partitions(range(1000), 0.1)
    assert len(drawn) == 100 and drawn == sorted(drawn) and drawn == drawn_partitions(list(range(1000)), 0.1)
    assert Counter(number // 250 for number in drawn).most_common()[-1][1] > 10 and drawn_partitions([3, 4], 0.0001)
    assert drawn_partitions([], 0.5) == []


def test_reader_of_a_stage_that_is_not_done(tmp_path: Path):
    from internvid_pipeline.records import ClipRecord

    config = made_config(tmp_path / "root", tmp_path / "videos", num_videos=4)
    run_dataset(config, engine="inline", until="made_videos")
    opened, _, plans, partitions = open_dataset(str(tmp_path / "root"))
    reader = SetReader(opened, plans, partitions)
    assert reader.table(ClipRecord, 0, ["clip_id"]).equals(
        pa.table({"clip_id": pa.array([], pa.string())}, schema=pa.schema([pa.field("clip_id", pa.string(), False)]))
    )
