"""The spans that a published list asks for, as frames of the video that is there."""

from collections.abc import Sequence
from dataclasses import dataclass

from internvid_pipeline.media.clip_plan import ClipSpan
from internvid_pipeline.media.times import FrameTimes
from internvid_pipeline.records import ClipRequest
from internvid_pipeline.web.spans import frame_range


@dataclass(frozen=True)
class ListedSpans:
    """spans: frames [start, end), ascending, each once; they may overlap. outside: requests that lie beyond the video, each time once."""

    spans: tuple[tuple[int, int], ...]
    outside: tuple[ClipRequest, ...]


def listed_spans(times: FrameTimes, requests: Sequence[ClipRequest], origin_s: float) -> ListedSpans:
    """origin_s: time of the whole video's first frame on the container's clock (`VideoRecord.start_s`), from which lists count."""
    spans: set[tuple[int, int]] = set()
    outside: dict[tuple[float, float | None], ClipRequest] = {}
    for request in requests:
        span = frame_range(times.pts, times.end_pts, times.time_base, origin_s, request.start_s, request.end_s)
        if span is None:
            outside.setdefault((request.start_s, request.end_s), request)
        else:
            spans.add(span)
    return ListedSpans(tuple(sorted(spans)), tuple(outside.values()))


def apart(spans: Sequence[ClipSpan]) -> list[list[ClipSpan]]:
    """The spans in as few groups as possible, each ascending and without overlaps, as `write_clips` wants them."""
    layers: list[list[ClipSpan]] = []
    for span in sorted(spans, key=lambda span: (span.start_frame, span.end_frame)):
        free = next((layer for layer in layers if layer[-1].end_frame <= span.start_frame), None)
        if free is None:
            layers.append([span])
        else:
            free.append(span)
    return layers
