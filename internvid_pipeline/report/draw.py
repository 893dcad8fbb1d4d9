"""Figures as pictures: SVG that takes the colours of the page it stands in, SVG and PNG files for elsewhere."""

import io
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from internvid_pipeline.errors import SetupError
from internvid_pipeline.report.figures import Figure
from internvid_pipeline.report.funnel import StageRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Drawn in these colours; in the page each becomes the variable beside it, so that light, dark and paper have their own.
_INK, _GRID, _BAR, _EMITTED, _DROPPED, _FAILED = "#16181d", "#d9dce1", "#2f6f9f", "#2f7d5b", "#c98a1b", "#b5403a"
_VARIABLES = {_INK: "--ink", _GRID: "--grid", _BAR: "--bar", _EMITTED: "--emitted", _DROPPED: "--dropped", _FAILED: "--failed"}
_WIDTH_IN = 6.4
_BAR_IN = 0.24
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
_FONTS = ("DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Hebrew")
_LABEL_CHARACTERS = 28


def check_matplotlib() -> None:
    """Raises SetupError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise SetupError("the report's figures need matplotlib: pip install 'internvid-pipeline[report]'") from error


@cache
def _settings() -> dict[str, Any]:
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    return {
        "svg.fonttype": "none",  # text stays text: searchable, and in the fonts of whoever reads it
        "svg.hashsalt": "internvid",  # the same figure gives the same bytes
        "text.parse_math": False,  # a category called $x$ is not mathematics
        "font.family": [name for name in _FONTS if name in there],
        "font.size": 9.5,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
        "axes.edgecolor": _GRID,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }


def _printable(text: str, most: int = _LABEL_CHARACTERS) -> str:
    """A stranger's text as a label: without what would turn the line round or break the file."""
    clean = _UNPRINTABLE.sub(" ", text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


class Drawing:
    """One drawn figure. page_svg: for within an HTML page. svg, png: whole files."""

    def __init__(self, canvas: "Canvas", words: str) -> None:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a label in a script for which this machine has no font
            self.svg = _saved(canvas, "svg")
            self.png = _saved(canvas, "png")
        self._words = words

    @property
    def page_svg(self) -> str:
        """An `<svg>` element whose colours are variables of the page, named for those who cannot see it."""
        from html import escape

        text = self.svg.decode()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        for colour, variable in _VARIABLES.items():
            text = text.replace(colour, f"var({variable})")
        text = text.replace("#ffffff", "none")  # the page's own background
        return text.replace("<svg ", f'<svg role="img" aria-label="{escape(self._words)}" ', 1)


def _saved(canvas: "Canvas", kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    canvas.savefig(buffer, format=kind, dpi=150, metadata=metadata, facecolor="white")
    return buffer.getvalue()


def _canvas(height_in: float) -> tuple["Canvas", "Axes"]:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(_WIDTH_IN, height_in), layout="constrained")
    return canvas, canvas.add_subplot()


def draw_figure(figure: Figure) -> Drawing:
    """Bars over the bins of a measure, or lying bars beside names."""
    import matplotlib

    with matplotlib.rc_context(_settings()):
        draw = _draw_bins if figure.is_ordered else _draw_names
        return Drawing(draw(figure), f"{figure.title}. {figure.sentence}")


def _draw_bins(figure: Figure) -> "Canvas":
    canvas, axes = _canvas(2.7)
    labels = [bar.label for bar in figure.bars]
    counts = [bar.count for bar in figure.bars]
    bounds = [(bar.low, bar.high) for bar in figure.bars]
    if all(low is not None and high is not None for low, high in bounds):
        edges = [low for low, _ in bounds if low is not None]
        width = (bounds[0][1] or 0) - edges[0]
        axes.bar([edge + width / 2 for edge in edges], counts, width * 0.92, color=_BAR)
        axes.set_xlim(edges[0] - width * 0.2, edges[-1] + width * 1.2)
    else:
        axes.bar(range(len(counts)), counts, 0.8, color=_BAR)
        axes.set_xticks(range(len(counts)), [label.rsplit(" ", 1)[0] for label in labels], fontsize=8.5)
        for place, count in enumerate(counts):
            share = f"{count / figure.total:.0%}" if figure.total else ""
            axes.annotate(share, (place, count), (0, 2), textcoords="offset points", ha="center", fontsize=8.5)
    axes.set_xlabel(figure.axis)
    axes.set_ylabel(f"number of {figure.counted}")
    _count_axis(axes, "y")
    axes.margins(y=0.12)
    return canvas


def _count_axis(axes: "Axes", which: Any) -> None:
    """Whole numbers with thousands apart, and faint lines behind the bars."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis=which, color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _draw_names(figure: Figure) -> "Canvas":
    bars = figure.bars or ()
    canvas, axes = _canvas(0.75 + _BAR_IN * max(2, len(bars)))
    places = range(len(bars))
    axes.barh(places, [bar.count for bar in bars], 0.72, color=_BAR)
    axes.set_yticks(places, [_printable(bar.label) for bar in bars])
    axes.set_ylim(max(1, len(bars) - 1) + 0.6, -0.6)  # the first on top; one bar alone is no wall
    most = max((bar.count for bar in bars), default=1)
    for place, bar in enumerate(bars):
        axes.annotate(f"{bar.count:,}", (bar.count, place), (3, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_xlim(0, most * 1.16 or 1)
    axes.set_xlabel(f"number of {figure.counted}")
    _count_axis(axes, "x")
    return canvas


def draw_funnel(rows: Sequence[StageRow]) -> Drawing:
    """Lying bars, one per stage: emitted, dropped and failed beside each other, together the inputs."""
    import matplotlib

    with matplotlib.rc_context(_settings()):
        canvas, axes = _canvas(1.0 + 0.34 * max(1, len(rows)))
        places = range(len(rows))
        left = [0] * len(rows)
        for name, colour in (("emitted", _EMITTED), ("dropped", _DROPPED), ("failed", _FAILED)):
            counts = [getattr(row, name) for row in rows]
            axes.barh(places, counts, 0.66, left=left, color=colour, label=name)
            left = [a + b for a, b in zip(left, counts, strict=True)]
        axes.set_yticks(places, [_printable(row.stage) for row in rows])
        axes.invert_yaxis()
        for place, (row, total) in enumerate(zip(rows, left, strict=True)):
            axes.annotate(f"{row.inputs:,}", (total, place), (3, 0), textcoords="offset points", va="center", fontsize=8.5)
        axes.set_xlim(0, max(left, default=1) * 1.12 or 1)
        axes.set_xlabel("number of inputs of the stage (sources, videos or clips)")
        _count_axis(axes, "x")
        axes.legend(ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2, handlelength=1.2)
        return Drawing(canvas, "What became of the inputs of each stage: emitted, dropped, failed.")
