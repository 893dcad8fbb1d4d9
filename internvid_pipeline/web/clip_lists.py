"""Published lists of clips: InternVid's JSONL, Panda-70M's and OpenVid's csv, recognised by their columns.

What was published is ids, times and texts; `read_list` turns a line into its video and its clip requests. Columns, as published:

* InternVid: `YoutubeID, Start_timestamp, End_timestamp, Caption, Aesthetic_Score, UMT_Score` (an older revision: `UMT-SIM`), a line per
  clip, times `HH:MM:SS.mmm`; also as Parquet;
* Panda-70M: `videoID, url, timestamp, caption, matching_score[, desirable_filtering, shot_boundary_detection]`, a line per video, each a
  Python list as text;
* OpenVid: `video, caption, aesthetic score, motion score, temporal consistency score, …`, a line per file, which is a clip by itself.
"""

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import CaptionScale, ClipRequest, ListedScore

_TIME = re.compile(r"\s*(?:(\d{1,6}):)?(\d{1,6}):(\d{1,6})(?:\.(\d{0,9}))?\s*")
_SECONDS = re.compile(r"\s*\d{1,9}(?:\.\d{0,9})?\s*")
_MOST_LIST_CHARS = 5_000_000  # of one cell; Panda-70M's longest have some ten thousand
_MOST_CAPTION = 20_000


@dataclass(frozen=True)
class Listed:
    """One line. key: the video's id, or (is_file) its path or address. requests: in the line's order."""

    key: str
    is_file: bool
    requests: tuple[ClipRequest, ...]


@dataclass(frozen=True)
class ListFormat:
    """A kind of list. key_column: that holds the video. columns: that it is recognised by."""

    name: str
    key_column: str
    columns: frozenset[str]
    read: Callable[[Mapping[str, Any], str], tuple[ClipRequest, ...]]
    is_file: bool = False

    def listed(self, row: Mapping[str, Any], list_name: str) -> Listed:
        """A line as video and requests. Raises ValueError in words."""
        key = row.get(self.key_column)
        if not isinstance(key, str) or not key.strip():
            raise ValueError(f"{self.key_column} is {key!r:.80}; it should name the video")
        return Listed(key.strip(), self.is_file, self.read(row, list_name))


def parse_time(value: Any) -> float:
    """Seconds of `HH:MM:SS.mmm`, `MM:SS`, `12.5` or a number. Raises ValueError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    text = str(value)
    digits = text[:2] + text[3:5] + text[6:8] + text[9:]
    if len(text) == 12 and text[2] + text[5] + text[8] == "::." and digits.isascii() and digits.isdigit():  # as InternVid writes them all
        number = int(digits)
        whole = number // 10_000_000 * 3600 + number // 100_000 % 100 * 60 + number // 1000 % 100
        return (whole * 1000 + number % 1000) / 1000
    if match := _TIME.fullmatch(text):
        fraction = match[4] or ""
        scale = 10 ** len(fraction)  # one division at the end, so that 113.647 is the number nearest to it
        seconds: float = ((int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])) * scale + int(fraction or 0)) / scale
        return seconds
    if _SECONDS.fullmatch(text):
        return float(text)
    raise ValueError(f"{text[:40]!r} is no time; write HH:MM:SS.mmm or seconds")


def _span(start: Any, end: Any) -> tuple[float, float]:
    start_s, end_s = parse_time(start), parse_time(end)
    if end_s <= start_s:
        raise ValueError(f"its span ends at {end_s:g} s, not after its start at {start_s:g} s")
    return start_s, end_s


def _scores(row: Mapping[str, Any], names: Mapping[str, str]) -> tuple[ListedScore, ...]:
    found = []
    for column, scorer in names.items():
        value = row.get(column)
        if value is None:
            continue
        if type(value) is not float:
            try:
                value = float(value)
            except (TypeError, ValueError):
                continue
        if math.isfinite(value):
            found.append(ListedScore(scorer=scorer, value=value))
    return tuple(found)


def _caption(value: Any) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return None
    text = value.strip()[:_MOST_CAPTION]
    return text if text.isascii() else text.encode(errors="replace").decode()


def _internvid(row: Mapping[str, Any], list_name: str) -> tuple[ClipRequest, ...]:
    start_s, end_s = _span(row.get("Start_timestamp"), row.get("End_timestamp"))
    scores = _scores(row, {"Aesthetic_Score": "aesthetic", "UMT_Score": "umt_sim", "UMT-SIM": "umt_sim"})
    caption = _caption(row.get("Caption"))
    return (
        ClipRequest(start_s=start_s, end_s=end_s, caption=caption, caption_scale=CaptionScale.FUSED, scores=scores, list_name=list_name),
    )


def _panda(row: Mapping[str, Any], list_name: str) -> tuple[ClipRequest, ...]:
    spans, captions, scores = (_python_list(row.get(name), name) for name in ("timestamp", "caption", "matching_score"))
    if not len(spans) == len(captions) == len(scores):
        raise ValueError(f"has {len(spans)} spans, {len(captions)} captions and {len(scores)} scores; each clip has one of each")
    requests = []
    for span, caption, score in zip(spans, captions, scores, strict=True):
        if not isinstance(span, (list, tuple)) or len(span) != 2:
            raise ValueError(f"timestamp holds {span!r:.60}; a span is [start, end]")
        start_s, end_s = _span(*span)
        listed = _scores({"score": score}, {"score": "matching"})
        requests.append(
            ClipRequest(
                start_s=start_s,
                end_s=end_s,
                caption=_caption(caption),
                caption_scale=CaptionScale.VLM,
                scores=listed,
                list_name=list_name,
            )
        )
    return tuple(requests)


def _python_list(value: Any, column: str) -> Sequence[Any]:
    if isinstance(value, (list, tuple)):
        return value
    if not isinstance(value, str) or len(value) > _MOST_LIST_CHARS:
        raise ValueError(f"{column} is no list")
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(value)  # literals only: nothing is called
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise ValueError(f"{column} is no list: {str(error)[:60]}") from error
    if not isinstance(found, list):
        raise ValueError(f"{column} is no list")
    return found


def _openvid(row: Mapping[str, Any], list_name: str) -> tuple[ClipRequest, ...]:
    names = {
        "aesthetic score": "aesthetic",
        "motion score": "motion_score",
        "temporal consistency score": "temporal_consistency",
    }
    caption, scores = _caption(row.get("caption")), _scores(row, names)
    return (ClipRequest(start_s=0.0, end_s=None, caption=caption, caption_scale=CaptionScale.VLM, scores=scores, list_name=list_name),)


FORMATS = (
    ListFormat("internvid", "YoutubeID", frozenset({"YoutubeID", "Start_timestamp", "End_timestamp"}), _internvid),
    ListFormat("panda-70m", "videoID", frozenset({"videoID", "timestamp", "caption", "matching_score"}), _panda),
    ListFormat("openvid", "video", frozenset({"video", "caption", "aesthetic score", "motion score"}), _openvid, is_file=True),
)


def format_of(columns: Sequence[str]) -> ListFormat | None:
    """The published list that has these columns, None where it is a list of paths of the user's own."""
    return next((known for known in FORMATS if known.columns <= set(columns)), None)


def format_named(name: str) -> ListFormat:
    """Raises UsageError for an unknown one."""
    for known in FORMATS:
        if known.name == name:
            return known
    raise UsageError(f"no list format {name!r}; known are {', '.join(known.name for known in FORMATS)}")
