"""What the page sends: every field with its bounds, so that nothing else reaches the database."""

from typing import Literal

from pydantic import Field

from internvid_pipeline.browse.queries import MOST_PAGE
from internvid_pipeline.browse.wanted import MOST_TEXT, Wanted
from internvid_pipeline.config import Section

_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"


class Page(Section):
    """Which clips to show."""

    wanted: Wanted = Field(default_factory=Wanted)
    show: str = Field(default="kept", pattern="^(kept|left_out|all)$")
    order: str = Field(default="set", max_length=100)
    descending: bool = False
    offset: int = Field(default=0, ge=0, le=10**12)
    limit: int = Field(default=60, ge=1, le=MOST_PAGE)
    seed: int = Field(default=0, ge=0, le=10**6)


class Lost(Section):
    """Which lost items to show."""

    stage: str = Field(default="", max_length=200)
    kind: str = Field(default="", max_length=20)
    name: str = Field(default="", max_length=200)
    search: str = Field(default="", max_length=MOST_TEXT)
    offset: int = Field(default=0, ge=0, le=10**12)
    limit: int = Field(default=60, ge=1, le=MOST_PAGE)


class Mark(Section):
    """A judgement of a clip."""

    number: int = Field(ge=0, le=10**12)
    verdict: str = Field(max_length=20)


class Written(Section):
    """A selection to be written down."""

    name: str = Field(pattern=f"^{_NAME}$", description="Of the selection.")
    wanted: Wanted = Field(default_factory=Wanted)
    with_search: bool = Field(default=False, description="The words searched for as rules too.")
    with_marks: Literal["", "only_keep", "no_reject"] = Field(default="", description="Only clips marked keep, or none marked reject.")


class Numbers(Section):
    """Some clips."""

    numbers: tuple[int, ...] = Field(max_length=MOST_PAGE)
