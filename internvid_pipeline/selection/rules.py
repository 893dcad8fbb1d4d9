"""The rules of a selection, as they stand in a config."""

from pydantic import Field, model_validator

from internvid_pipeline.config import Section
from internvid_pipeline.errors import UsageError
from internvid_pipeline.selection.expressions import columns_of

INTERNVID_SEED = 42


class DrawRule(Section):
    """A random draw among the clips that earlier rules keep, without replacement."""

    num_clips: int = Field(ge=1, description="How many; InternVid-DIV: 10647458 (its div_sampling.py). All, where there are no more.")
    per_video: bool = Field(
        default=False,
        description="Weight each clip by 1 / (number of clips of its video): InternVid's DIV (div_sampling.py); false: all alike.",
    )
    seed: int = Field(default=INTERNVID_SEED, ge=0, le=2**32 - 1, description="Of NumPy's RandomState; 42 as div_sampling.py.")


class Rule(Section):
    """One rule; exactly one of where, minimum/maximum, top_ratio, most_per_value or draw. A clip without a value for a column that
    the rule looks at is dropped."""

    where: str | None = Field(
        default=None, description="A condition over any columns, in SQL: duration_s between 1 and 120 and video_language = 'en'."
    )
    column: str | None = Field(
        default=None,
        description="For the fields below: a column of the clips, video_<column> of their video, speech_<column>, "
        "caption_<scale>, or a scorer's name.",
    )
    minimum: float | None = Field(default=None, description="Keep values of at least this.")
    maximum: float | None = Field(default=None, description="Keep values of at most this.")
    top_ratio: float | None = Field(
        default=None, gt=0, le=1, description="Keep this share of the set with the highest values, counted among what earlier rules keep."
    )
    most_per_value: int | None = Field(
        default=None, ge=1, description="Keep at most so many clips for each value of the column (a language, a category), drawn by hash."
    )
    draw: DrawRule | None = Field(default=None, description="Keep a random draw.")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "Rule":
        bounded = self.minimum is not None or self.maximum is not None
        kinds = [self.where is not None, bounded, self.top_ratio is not None, self.most_per_value is not None, self.draw is not None]
        if sum(kinds) != 1:
            raise ValueError("a rule needs exactly one of where, minimum/maximum, top_ratio, most_per_value, draw")
        if (self.column is None) != (self.where is not None or self.draw is not None):
            raise ValueError("minimum, maximum, top_ratio and most_per_value need a column; where and draw take none")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}: nothing would be kept")
        if self.where is not None:
            try:
                columns_of(self.where)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """What the rule looks at."""
        if self.where is not None:
            return columns_of(self.where)
        return (self.column.lower(),) if self.column else ()

    @property
    def needs_set(self) -> bool:
        """True where a clip's fate depends on the others'."""
        return self.top_ratio is not None or self.most_per_value is not None or self.draw is not None

    @property
    def words(self) -> str:
        """The rule in a line, for messages and data cards."""
        if self.where is not None:
            return self.where
        if self.draw is not None:
            weights = "weight 1/(clips of its video)" if self.draw.per_video else "all alike"
            return f"draw of {self.draw.num_clips} clips, {weights}, seed {self.draw.seed}"
        if self.top_ratio is not None:
            return f"top {self.top_ratio:.6g} by {self.column}"
        if self.most_per_value is not None:
            return f"at most {self.most_per_value} for each {self.column}"
        low = [f"{self.column} >= {self.minimum:g}"] if self.minimum is not None else []
        return " and ".join(low + ([f"{self.column} <= {self.maximum:g}"] if self.maximum is not None else []))


class Selection(Section):
    """A named set of clips: its rules, applied in their order."""

    rules: tuple[Rule, ...] = Field(default=(), description="In this order; none: every clip.")

    @property
    def needs_set(self) -> bool:
        """True where some rule does."""
        return any(rule.needs_set for rule in self.rules)

    @property
    def columns(self) -> tuple[str, ...]:
        """What all rules look at."""
        return tuple(dict.fromkeys(column for rule in self.rules for column in rule.columns))
