"""Figures of a selection for its data card, counted in one pass over its samples."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from internvid_pipeline.exporters.samples import ExportSample

# Buckets of InternVid's own figure 4.
DURATION_EDGES_S = (2.0, 4.0, 10.0, 20.0)
CAPTION_EDGES_WORDS = (10, 20, 30)


@dataclass
class SelectionStatistics:
    """Filled by `counting`. durations, caption_lengths: clips in each bucket, the last one open."""

    num_clips: int = 0
    num_videos: int = 0
    total_s: float = 0.0
    size_bytes: int = 0
    num_words: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATION_EDGES_S) + 1))
    caption_lengths: list[int] = field(default_factory=lambda: [0] * (len(CAPTION_EDGES_WORDS) + 1))
    languages: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    heights_px: Counter[int] = field(default_factory=Counter)

    def counting(self, samples: Iterable[ExportSample]) -> Iterator[ExportSample]:
        """The samples, counted on their way. Clips of one video come side by side."""
        last_video = ""
        for sample in samples:
            clip, video = sample.clip, sample.video
            words = len(sample.caption.split())
            self.num_clips += 1
            self.total_s += clip.duration_s
            self.size_bytes += clip.media.size_bytes or 0
            self.num_words += words
            self.durations[sum(clip.duration_s >= edge for edge in DURATION_EDGES_S)] += 1
            self.caption_lengths[sum(words >= edge for edge in CAPTION_EDGES_WORDS)] += 1
            self.heights_px[clip.height_px] += 1
            if video.video_id != last_video:
                last_video = video.video_id
                self.num_videos += 1
                self.languages[video.language or "unknown"] += 1
                self.licences[video.licence or "unknown"] += 1
                self.sources[video.video_id.split("-", 1)[0]] += 1
            yield sample


def bucket_names(edges: tuple[float, ...], unit: str) -> list[str]:
    """`< 2 s`, `2-4 s`, …, `>= 20 s`."""
    inner = [f"{low:g}-{high:g} {unit}" for low, high in pairwise(edges)]
    return [f"< {edges[0]:g} {unit}", *inner, f">= {edges[-1]:g} {unit}"]
