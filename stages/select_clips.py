"""Which clips go into the data set: thresholds and percentiles over columns of the clips and scores tables, in the order given.

InternVid's FLT subset in the form described by its authors (issue 91 of OpenGVLab/InternVideo) is three such rules: length 1 to 120 s,
then the best 30 % by CLIP score, then a draw of 10 million (the draw is not in this stage yet).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from pydantic import Field, model_validator

from internvid_pipeline.config import Section
from internvid_pipeline.records import CaptionRecord, CaptionScale, ClipRecord, DropReason, ScoreRecord, SelectionRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage

_CLIP_COLUMNS = ("duration_s", "fps", "height_px", "luma_mean", "motion", "num_frames", "width_px")


class Rule(Section):
    """One condition on one column. A clip without a value for the column is dropped."""

    column: str = Field(
        description=f"A column of the clips table ({', '.join(_CLIP_COLUMNS)}) or a score by its scorer's name (alignment)."
    )
    minimum: float | None = Field(default=None, description="Keep values of at least this.")
    maximum: float | None = Field(default=None, description="Keep values of at most this.")
    top_ratio: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Keep this share of the whole set with the highest values, counted among what earlier rules keep.",
    )

    @model_validator(mode="after")
    def _asks_something(self) -> "Rule":
        if self.minimum is None and self.maximum is None and self.top_ratio is None:
            raise ValueError("a rule needs minimum, maximum or top_ratio")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}: nothing would be kept")
        return self


class SelectClipsConfig(Section):
    """A selection: its name, its rules, and which caption goes with the clip."""

    name: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="Name of the selection; its shards lie in shards/<name>/.",
    )
    rules: tuple[Rule, ...] = Field(
        default=(Rule(column="duration_s", minimum=1.0, maximum=120.0),),
        description="Conditions, in this order. Default: the length rule of InternVid-10M-FLT, 1 to 120 s (InternVideo issue 91).",
    )
    caption_scales: tuple[CaptionScale, ...] = Field(
        default=(CaptionScale.FUSED, CaptionScale.VLM, CaptionScale.FINE, CaptionScale.COARSE),
        min_length=1,
        description="The caption of the first of these scales that a clip has goes into the shard's .txt.",
    )


class SelectClips(Stage[SelectClipsConfig, ClipRecord, SelectionRecord]):
    """Looks at tables only, never at media."""

    name = "select_clips"
    config_type = SelectClipsConfig
    reads = ClipRecord
    joins = (CaptionRecord, ScoreRecord)
    writes = SelectionRecord

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.25, batch_size=1024, load_threads=1)

    @property
    def needs_reduce(self) -> bool:
        return any(rule.top_ratio is not None for rule in self.config.rules)

    def reduce(self, items: Callable[[], Iterable[Item[ClipRecord]]]) -> dict[str, float]:
        """The smallest value kept by each percentile rule, by the rule's position: one pass over the tables for each such rule, holding
        8 bytes per clip that is still in."""
        found: dict[str, float] = {}
        for position, rule in enumerate(self.config.rules):
            if rule.top_ratio is not None:
                values = np.fromiter(self._surviving_values(items(), position, found), dtype=np.float64)
                found[str(position)] = _smallest_kept(values, rule.top_ratio)
        return found

    def _surviving_values(self, items: Iterable[Item[ClipRecord]], position: int, reduced: Mapping[str, float]) -> Iterable[float]:
        for item in items:
            if self._judged(item, self.config.rules[:position], reduced) is None:
                value = _value(item, self.config.rules[position].column)
                if value is not None:
                    yield value

    def _judged(self, item: Item[ClipRecord], rules: Sequence[Rule], reduced: Mapping[str, float]) -> Drop | None:
        """The first rule that drops the item, None where all keep it."""
        for position, rule in enumerate(rules):
            value = _value(item, rule.column)
            if value is None:
                return Drop(DropReason.MISSING_VALUE, f"has no {rule.column}")
            if rule.minimum is not None and value < rule.minimum:
                return Drop(DropReason.BELOW_MINIMUM, f"{rule.column} {value:.4g} is below {rule.minimum:g}")
            if rule.maximum is not None and value > rule.maximum:
                return Drop(DropReason.ABOVE_MAXIMUM, f"{rule.column} {value:.4g} is above {rule.maximum:g}")
            if rule.top_ratio is not None and value < reduced[str(position)]:
                return Drop(
                    DropReason.BELOW_PERCENTILE,
                    f"{rule.column} {value:.4g} is not among the top {rule.top_ratio:.0%} (from {reduced[str(position)]:.4g})",
                )
        return None

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[SelectionRecord]]:
        return [self._outcome(item) for item in batch]

    def _outcome(self, item: Item[ClipRecord]) -> Outcome[SelectionRecord]:
        drop = self._judged(item, self.config.rules, self.worker.reduced)
        if drop is not None:
            return drop
        texts = {caption.scale: caption.text for caption in item.joined[CaptionRecord]}
        for scale in self.config.caption_scales:
            if scale in texts:
                clip = item.record
                row = SelectionRecord(
                    clip_id=clip.clip_id, video_id=clip.video_id, selection=self.config.name, caption=texts[scale], caption_scale=scale
                )
                return Emit((row,))
        return Drop(DropReason.MISSING_VALUE, f"has no caption of the scales {', '.join(self.config.caption_scales)}")


def _value(item: Item[ClipRecord], column: str) -> float | None:
    """A column of the clip, or the score of that name: the highest where several captions of the clip were scored."""
    if column in _CLIP_COLUMNS:
        return float(getattr(item.record, column))
    scores = [score.value for score in item.joined[ScoreRecord] if score.scorer == column and not math.isnan(score.value)]
    return max(scores, default=None)


def _smallest_kept(values: np.ndarray[tuple[int], np.dtype[np.float64]], ratio: float) -> float:
    """The value from which on the highest `ratio` of the values lie (ties are all kept); infinity for no values."""
    if not len(values):
        return math.inf
    kept = max(1, math.floor(len(values) * ratio + 1e-9))
    return float(np.partition(values, len(values) - kept)[len(values) - kept])
