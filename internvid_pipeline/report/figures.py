"""The report's figures as numbers: counts by bin or by name, each with its unit and a sentence. Pictures and tables are made from these."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from internvid_pipeline.exporters.hub.statistics import CAPTION_EDGES_WORDS, DURATION_EDGES_S, bucket_names
from internvid_pipeline.report.sample import Sample, numbers_of
from internvid_pipeline.report.words import count_words
from internvid_pipeline.units import duration_text

SOURCE_EDGES_MIN = (0.5, 1.0, 3.0, 5.0, 10.0, 30.0, 60.0)
SHORT_SIDE_EDGES_PX = (240.0, 360.0, 480.0, 720.0, 1080.0, 2160.0)  # InternVid, section 3.1: 85 % 720p, the rest 360p to 720p
MOST_NAMES = 20  # bars of a figure of names; the rest is summed
_MOST_BINS = 16
_WORDS_FROM = 200_000  # captions whose words are counted: enough for the twenty most frequent, and half a minute
_LABEL_CHARACTERS = 40


@dataclass(frozen=True)
class Bar:
    """label: of a bin or a name. low, high: bounds [low, high) of a bin, None where it is open or a name."""

    label: str
    count: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Figure:
    """name: of its files. counted: what the counts count (`clips`). axis: what the bins measure, with its unit. sentence: what it shows.
    is_ordered: bars are bins of a measure, in its order; else names, the most frequent first. missing: how many have no value."""

    name: str
    title: str
    counted: str
    axis: str
    sentence: str
    bars: tuple[Bar, ...]
    is_ordered: bool
    missing: int = 0

    @property
    def total(self) -> int:
        """Sum of the bars."""
        return sum(bar.count for bar in self.bars)


def all_figures(sample: Sample) -> list[Figure]:
    """Every figure that the set has values for, in the order of the page."""
    clips, videos = sample.clips, sample.videos
    found = [
        _binned(
            "source_length",
            "Length of the source videos",
            "videos",
            "length in min",
            pc.divide(videos["duration_s"], 60.0),
            SOURCE_EDGES_MIN,
            "min",
        ),
        _binned("clip_length", "Length of the clips", "clips", "length in s", clips["duration_s"], DURATION_EDGES_S, "s"),
        _binned(
            "source_resolution", "Resolution of the source videos", "videos", "short side in px", _short(videos), SHORT_SIDE_EDGES_PX, "px"
        ),
        _binned("clip_resolution", "Resolution of the clips", "clips", "short side in px", _short(clips), SHORT_SIDE_EDGES_PX, "px"),
        *_caption_lengths(sample),
        *_scores(sample),
        _measured("motion", "Motion of the clips", "clips", "mean difference of neighbouring frames, 0 to 255", clips["motion"]),
        _named("languages", "Languages of the videos", "videos", "language", videos["language"].to_pylist()),
        _named("caption_languages", "Languages of the captions", "captions", "language", sample.captions["language"].to_pylist()),
        *_speech(sample),
        _categories(videos),
        _named("licences", "Licences of the videos", "videos", "licence", videos["licence"].to_pylist()),
        _named("platforms", "Where the videos come from", "videos", "site", [_platform(video) for video in videos["video_id"].to_pylist()]),
        _named(
            "cuts", "How the clips were written", "clips", "packets copied, edges encoded, or all encoded", clips["cut_mode"].to_pylist()
        ),
        *_words(sample),
    ]
    return [figure for figure in found if figure.total or figure.missing]


def _short(table: pa.Table) -> pa.ChunkedArray:
    return pc.min_element_wise(table["width_px"], table["height_px"])


def _platform(video_id: str) -> str:
    return video_id.split("-", 1)[0]


def _binned(name: str, title: str, counted: str, axis: str, column: pa.ChunkedArray, edges: tuple[float, ...], unit: str) -> Figure:
    """Counts in given bins, the first and the last one open."""
    values = numbers_of(column)
    places = np.searchsorted(np.array(edges), values, side="right")
    counts = np.bincount(places, minlength=len(edges) + 1)
    bounds = [None, *edges, None]
    bars = tuple(
        Bar(label, int(count), low, high)
        for label, count, (low, high) in zip(bucket_names(edges, unit), counts, pairwise(bounds), strict=True)
    )
    return Figure(name, title, counted, axis, _spread(values, unit), bars, True, len(column) - len(values))


def _spread(values: NDArray[np.float64], unit: str) -> str:
    if not len(values):
        return "There is no value."
    low, middle, high, mean = (_told(value, unit) for value in (*np.percentile(values, (25, 50, 75)), values.mean()))
    return f"Half lie between {low} and {high}, the median is {middle}, the mean {mean}."


def _told(value: float, unit: str) -> str:
    """A value with its unit; minutes as people say them."""
    return duration_text(60 * value) if unit == "min" else f"{_number(value)} {unit}".strip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def even_edges(values: Sequence[float]) -> list[float]:
    """Bounds of up to 16 bins of one width, 1, 2 or 5 times a power of ten, that hold all values; the last bin is closed."""
    low, high = min(values), max(values)
    least = max(abs(low), abs(high), 1e-3) * 1e-3  # values that are all alike are one bin in the middle of some
    wide = high if high - low > least else low + least
    raw = (wide - low) / _MOST_BINS
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(wide / step - 1e-9))
    edges = [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]
    return [min(edges[0], low), *edges[1:-1], max(edges[-1], high)]


def _measured(name: str, title: str, counted: str, axis: str, column: pa.ChunkedArray) -> Figure:
    """Counts in bins that follow from the values."""
    values = numbers_of(column)
    if not len(values):
        return Figure(name, title, counted, axis, "There is no value.", (), True, len(column))
    edges = even_edges(values.tolist())
    counts, _ = np.histogram(values, edges)
    bars = tuple(Bar(f"{low:g} to {high:g}", int(count), low, high) for (low, high), count in zip(pairwise(edges), counts, strict=True))
    return Figure(
        name,
        title,
        counted,
        axis,
        _spread(values, ""),
        bars,
        True,
        len(column) - len(values),
    )


def _named(name: str, title: str, counted: str, axis: str, values: Iterable[str | None], total: int | None = None) -> Figure:
    """Counts by name, the most frequent first; the rest is one bar. total: where an item may have several names, how many items."""
    counts = Counter(" ".join(value.split())[:_LABEL_CHARACTERS] if value else None for value in values)
    missing = counts.pop(None, 0)
    top = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = top[MOST_NAMES:]
    bars = [Bar(str(label), count) for label, count in top[:MOST_NAMES]]
    if rest:
        bars.append(Bar(f"{len(rest):,} others", sum(count for _, count in rest)))
    known = total if total is not None else sum(counts.values())
    sentence = f"{len(counts):,} different in {known:,} {counted}; the most frequent is {top[0][0]}." if top else f"No {counted} tell it."
    return Figure(name, title, counted, axis, sentence, tuple(bars), False, missing)


def _categories(videos: pa.Table) -> Figure:
    lists = videos["categories"].to_pylist()
    known = [names for names in lists if names]
    figure = _named(
        "categories", "Categories of the videos", "videos", "category", [name for names in known for name in set(names)], len(known)
    )
    return Figure(**{**figure.__dict__, "missing": len(lists) - len(known)})


def _caption_lengths(sample: Sample) -> list[Figure]:
    """Of the captions that selections chose for the shards, as in the data card, and of each scale."""
    edges = tuple(map(float, CAPTION_EDGES_WORDS))
    found = []
    chosen = sample.selections.group_by("clip_id", use_threads=False).aggregate([("caption", "first")])["caption_first"]
    found.append(
        _binned("caption_length", "Length of the captions in the shards", "captions", "length in words", _words_in(chosen), edges, "words")
    )
    for scale in sorted(set(sample.captions["scale"].to_pylist())):
        texts = sample.captions.filter(pc.equal(sample.captions["scale"], scale))["text"]
        title = f"Length of the {scale} captions"
        found.append(_binned(f"caption_length_{scale}", title, "captions", "length in words", _words_in(texts), edges, "words"))
    return found


def _words_in(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Words as the data card counts them: split at white space."""
    return pa.chunked_array([[len(text.split()) for text in texts.to_pylist()]], pa.int64())


def best_scores(sample: Sample) -> dict[str, pa.Table]:
    """By scorer, columns clip_id, value: the highest value of a clip, as selections see it."""
    found = {}
    for scorer in sorted(set(sample.scores["scorer"].to_pylist())):
        own = sample.scores.filter(pc.equal(sample.scores["scorer"], scorer))
        found[scorer] = own.group_by("clip_id", use_threads=False).aggregate([("value", "max")]).rename_columns(["clip_id", "value"])
    return found


def _scores(sample: Sample) -> list[Figure]:
    titles = {"alignment": "Alignment of caption and clip", "aesthetic": "Aesthetic score of the clips"}
    return [
        _measured(f"score_{scorer}", titles.get(scorer, f"Score {scorer}"), "clips", f"score {scorer}, no unit", table["value"])
        for scorer, table in best_scores(sample).items()
    ]


def _speech(sample: Sample) -> list[Figure]:
    if sample.speech is None:
        return []
    return [_named("speech_languages", "Languages of the speech", "clips", "language", sample.speech["language"].to_pylist())]


def _words(sample: Sample) -> list[Figure]:
    texts = sample.captions.filter(pc.match_substring_regex(sample.captions["language"], "^en(-|$)"))["text"]
    if not len(texts):
        return []
    step = -(-len(texts) // _WORDS_FROM)
    used = texts.take(pa.array(range(0, len(texts), step), pa.int64())).to_pylist()
    verbs, nouns = count_words(used)
    of = f"In how many of {len(used):,} English captions{'' if step == 1 else f' (every {step}th)'} each stands at least once."
    how = "Found by rules over word forms, without a tagger: read the tail with care."
    figures = []
    for name, title, counts in (("verbs", "Frequent verbs", verbs), ("nouns", "Frequent nouns", nouns)):
        bars = tuple(Bar(word, count) for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_NAMES])
        figures.append(Figure(name, title, "captions", name[:-1], f"{of} {how}", bars, False))
    return figures
