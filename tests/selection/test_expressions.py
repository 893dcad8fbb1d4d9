"""Conditions of a config: what they may say, and that nothing else reaches the database."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import UsageError
from internvid_pipeline.selection import columns_of


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        ("duration_s between 1 and 120", ("duration_s",)),
        ("aesthetic >= 4 and (alignment > 0.3 or motion < 2)", ("aesthetic", "alignment", "motion")),
        ("lower(video_language) in ('en', 'de') and not (video_title is null)", ("video_language", "video_title")),
        ("caption_fused ilike '%cat%' -- a remark", ("caption_fused",)),
        ("case when width_px > height_px then motion > 1 else motion > 2 end", ("width_px", "height_px", "motion")),
        ("round(width_px / height_px, 2) = 1.78", ("width_px", "height_px")),
        ("Motion > 1 AND motion < 3", ("motion",)),
    ],
)
def test_what_may_be_said(condition: str, columns: tuple[str, ...]):
    assert sorted(columns_of(condition)) == sorted(columns)


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "1 = 1",
        "(select 1) > motion",
        "motion > (select max(motion) from rows)",
        "exists (select 1 from read_csv('/etc/passwd'))",
        "read_text('/etc/passwd') = motion",
        "getenv('HOME') = video_title",
        "motion > 1; drop table rows",
        "motion > 1) from rows where (true",
        "motion > 1), (motion",
        "motion > 1 limit 3",
        "row_number() over () < motion",
        "columns(*) > 1",
        "list_filter(video_tags, x -> x = 'a') = video_tags",
        "motion > ?",
        "rows.motion > 1",
        "count(motion) > 1",
        "motion >",
        "motion > 1 /*",
        "x" * 20_000,
    ],
)
def test_what_may_not(condition: str):
    with pytest.raises(UsageError):
        columns_of(condition)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_a_clear_error(condition: str):
    try:
        assert columns_of(condition)
    except UsageError as error:
        assert "\n" not in str(error).replace(repr(condition), "")
