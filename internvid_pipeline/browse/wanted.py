"""What somebody asks for in the browser, and the rules of `select_clips` that say the same."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from internvid_pipeline.config import Section, to_yaml, validated
from internvid_pipeline.selection import Selection

MOST_TEXT = 500  # characters of a search
_MOST_VALUES = 200
_NOT_TOLD = ""  # a filter's value for rows that have none

Names = tuple[str, ...]


class Wanted(Section):
    """A selection as sliders and filters, and what is looked at of it.

    languages, licences, categories: of the video, any of them; "" stands for "not told"; none given: all. speech_languages: of what is
    said, "" where nothing is. bounds: by column, the lowest
    and highest value kept, None for no bound. where: one more condition in SQL. top: by column, the share with the highest values.
    search: words that stand in the texts `search_in`; marked: only clips so marked; these two choose what is looked at and are no rules.
    """

    languages: Names = Field(default=(), max_length=_MOST_VALUES)
    speech_languages: Names = Field(default=(), max_length=_MOST_VALUES)
    licences: Names = Field(default=(), max_length=_MOST_VALUES)
    categories: Names = Field(default=(), max_length=_MOST_VALUES)
    cut_modes: Names = Field(default=(), max_length=_MOST_VALUES)
    bounds: Mapping[str, tuple[float | None, float | None]] = Field(default={}, max_length=100)
    top: Mapping[str, float] = Field(default={}, max_length=20)
    where: str = Field(default="", max_length=2000)
    search: str = Field(default="", max_length=MOST_TEXT)
    search_in: Literal["captions", "speech", "title", "anything"] = "anything"
    marked: Literal["", "keep", "reject", "none"] = ""

    @field_validator("bounds")
    @classmethod
    def _finite(cls, bounds: Mapping[str, tuple[float | None, float | None]]) -> Mapping[str, tuple[float | None, float | None]]:
        for column, pair in bounds.items():
            if any(value is not None and not -1e300 < value < 1e300 for value in pair):
                raise ValueError(f"{column}: {pair} are no bounds")
        return bounds

    def selection(self, without: str | None = None) -> Selection:
        """The rules, in an order in which shares are taken of what everything else keeps. without: leave out the bounds of this column.
        Raises UsageError for what can be no rule."""
        rules: list[dict[str, Any]] = [
            *_one_of("video_language", self.languages),
            *_one_of("speech_language", self.speech_languages),
            *_one_of("video_licence", self.licences),
            *_one_of("cut_mode", self.cut_modes),
            *_category(self.categories),
            *([{"where": self.where}] if self.where.strip() else []),
        ]
        for column, (low, high) in self.bounds.items():
            if column != without and (low is not None or high is not None):
                rules.append({"column": column, "minimum": low, "maximum": high})
        rules += [{"column": column, "top_ratio": ratio} for column, ratio in self.top.items()]
        return validated(Selection, {"rules": rules}, "selection")


def selection_yaml(name: str, selection: Selection) -> str:
    """The stage's part of a config with this selection."""
    rules = [rule.model_dump(mode="json", exclude_none=True) for rule in selection.rules]
    return to_yaml({"stages": {"select_clips": {"selections": {name: {"rules": rules}}}}})


def folded(expression: str) -> str:
    """SQL for a text as it is searched: small letters, one form for each letter, no accents, vowel signs or lengthening strokes."""
    return f"replace(lower(strip_accents(nfc_normalize(coalesce({expression}, '')))), '\u0640', '')"


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _one_of(column: str, values: Names) -> list[dict[str, Any]]:
    if not values:
        return []
    told = [value for value in values if value != _NOT_TOLD]
    parts = [f"{column} in ({', '.join(map(literal, told))})"] if told else []
    if _NOT_TOLD in values:
        parts.append(f"{column} is null")
    return [{"where": " or ".join(parts)}]


def _category(values: Names) -> list[dict[str, Any]]:
    parts = [f"list_contains(video_categories, {literal(value)})" for value in values if value != _NOT_TOLD]
    if _NOT_TOLD in values:
        parts.append("len(video_categories) = 0")
    return [{"where": " or ".join(parts)}] if parts else []
