"""A clip that a published list asks for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedScore:
    """A score that the list gives. scorer: our name for it (`aesthetic`, `umt_sim`, `matching`, …)."""

    scorer: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRequest:
    """A span [start_s, end_s) of a video, counted from its first frame as players do; end_s None: to the end. caption: the list's
    text, None where it has none. list_name: which list says so; it stands as `model` in caption and score rows made from it."""

    start_s: float
    end_s: float | None
    caption: str | None
    caption_scale: str
    scores: tuple[ListedScore, ...]
    list_name: str
