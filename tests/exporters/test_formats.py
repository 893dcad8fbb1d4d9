"""Every format over the same clips: what its reader needs is there, what it would refuse is left out, and a spoiled row is found."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import UsageError
from internvid_pipeline.exporters.formats import FORMATS, ExportOptions, open_format
from internvid_pipeline.exporters.formats.base import num_words
from internvid_pipeline.exporters.readers import READERS
from internvid_pipeline.exporters.samples import ExportSample
from tests.made_records import made_clip, made_video

ALL = {
    "fused": "A dog runs over the grass",
    "audio": "dogs bark loudly",
    "speech": "come here",
    "av": "a barking dog",
    "avs": "a dog is called",
}


def sample(number: int, video: str = "youtube-0TDAwrav8Dc", caption: str = "A dog runs over the grass", **captions: str) -> ExportSample:
    start = number * 100
    clip = made_clip(
        f"{video}_{number:09d}",
        video,
        duration_s=4.0,
        start_frame=start,
        end_frame=start + 100,
        start_s=1.5 + 4 * number,
        end_s=5.5 + 4 * number,
    )
    return ExportSample(clip, made_video(video, start_s=1.5), caption, captions or ALL, {"alignment": 0.31, "aesthetic": 4.3})


def exported(name: str, samples: Sequence[ExportSample], tmp_path: Path, **options: Any) -> list[Any]:
    target = open_format(name, ExportOptions(**options))
    file = io.BytesIO()
    count = target.write(target.rows(samples), file)
    path = tmp_path / f"out.{target.suffix}"
    path.write_bytes(file.getvalue())
    rows = list(target.read(path))
    assert len(rows) == count
    assert [wrong for row in rows if (wrong := target.check(row))] == []
    return rows


FORMS = [(name, form) for name, kind in FORMATS.items() for form in kind.forms]


def test_the_help_names_every_format():
    assert list(READERS) == list(FORMATS)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_form_writes_what_it_reads_twice_alike(name: str, form: str, tmp_path: Path):
    samples = [sample(k, f"youtube-{v:011d}") for v in range(3) for k in range(4)]
    rows = exported(name, samples, tmp_path, form=form)
    assert rows and rows == exported(name, samples, tmp_path, form=form)
    assert exported(name, [], tmp_path, form=form) == []


@pytest.mark.parametrize(("name", "form"), FORMS)
@settings(deadline=None)
@given(caption=st.text(max_size=60))
def test_any_caption_survives(name: str, form: str, caption: str, tmp_path_factory: pytest.TempPathFactory):
    """Whatever stands in a caption: line breaks, quotes, any script; one row stays one row."""
    caption = caption.encode(errors="replace").decode()
    rows = exported(name, [sample(0, caption=caption)], tmp_path_factory.getbasetemp(), form=form)
    assert len(rows) <= 1
    if rows and name in ("internvid-jsonl", "viclip-json"):
        assert caption in rows[0].values()


def test_internvids_own_file(tmp_path: Path):
    rows = exported("internvid-jsonl", [sample(28)], tmp_path)
    assert rows == [
        {
            "YoutubeID": "0TDAwrav8Dc",
            "Start_timestamp": "00:01:52.000",
            "End_timestamp": "00:01:56.000",
            "Caption": "A dog runs over the grass",
            "Aesthetic_Score": 4.3,
            "UMT_Score": 0.31,
        }
    ]
    assert list(exported("internvid-jsonl", [sample(0)], tmp_path, form="umt-sim")[0])[-1] == "UMT-SIM"
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", rows[0]["Start_timestamp"])


def test_captions_that_the_loader_would_drop_are_left_out(tmp_path: Path):
    samples = [sample(0, caption="Dog."), sample(1, caption="A-dog"), sample(2, caption="#!?"), sample(3, caption="a dog")]
    assert [row["caption"] for row in exported("viclip-json", samples, tmp_path)] == ["A-dog", "a dog"]
    target = open_format("viclip-json", ExportOptions())
    assert (len(list(target.rows(samples))), target.num_left_out) == (2, 2)
    assert [num_words(text) for text in ("", "dog", "a/dog", "a , dog")] == [0, 1, 2, 2]


def test_ten_keys_of_the_avs_loader(tmp_path: Path):
    (row,) = exported("internvideo2-avs", [sample(0), sample(1, fused="a dog runs")], tmp_path, media_prefix="clips/")
    assert row["video"] == "clips/youtube-0TDAwrav8Dc_000000000.mp4"
    assert (row["video_start_frame"], row["video_end_frame"], row["video_fps"]) == (0, 100, 25.0)
    assert (row["selected_audio_caption"], row["asr_captions"], row["avs_captions"]) == ("dogs bark loudly", "come here", "a dog is called")
    assert len(row) == 10


def test_a_path_with_a_space_is_refused_where_spaces_separate():
    for name in ("videomae-list", "internvideo2-stage1-list"):
        with pytest.raises(UsageError, match="white space"):
            list(open_format(name, ExportOptions(media_prefix="my videos/")).rows([sample(0)]))


def test_lists_of_files(tmp_path: Path):
    path = "v/youtube-0TDAwrav8Dc_000000000.mp4"
    assert exported("videomae-list", [sample(0)], tmp_path, media_prefix="v/") == [f"{path} 0 -1"]
    assert exported("internvideo2-stage1-list", [sample(0)], tmp_path, media_prefix="v/") == [f"{path} 0"]
    assert exported("internvideo2-stage1-list", [sample(0)], tmp_path, media_prefix="v/", form="multi") == [f"internvid {path} -1 -1 -1 0"]


def test_interleaved_drops_three_videos_in_ten_and_no_caption(tmp_path: Path):
    samples = [sample(k, f"youtube-{v:011d}", caption=f"caption {v} {k}") for v in range(100) for k in range(10)]
    rows = exported("internvid-icl", samples, tmp_path)
    entries = [entry for row in rows for entry in row["interleaved_list"]]
    assert [entry["caption"] for entry in entries] == [one.caption for one in samples]
    dropped = sum(entry["video"] == "" for entry in entries)
    assert 250 < dropped < 350, "p = 0.3 of a thousand, by five standard deviations"
    assert exported("internvid-icl", samples, tmp_path, seed=1) != rows
    assert all("asr" in entry for row in exported("internvid-icl", samples, tmp_path, form="b") for entry in row["interleaved_list"])
    joined = exported("internvid-icl", samples[:30], tmp_path, form="c")
    assert [len(row["interleaved_list"]) for row in joined] == [20, 10]


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("internvid-jsonl", lambda row: row.pop("Caption")),
        ("internvid-jsonl", lambda row: row.update(End_timestamp="00:00:00.000", Start_timestamp="00:00:01.000")),
        ("viclip-json", lambda row: row.update(caption="dog")),
        ("internvideo2-avs", lambda row: row.update(av_captions=None)),
        ("internvideo2-avs", lambda row: row.update(video="clip.webm")),
        ("llava-jsonl", lambda row: row["conversations"].reverse()),
        ("llava-jsonl", lambda row: row.update(duration=None)),
        ("videochat2-it", lambda row: row["QA"][0].pop("i")),
        ("internvid-icl", lambda row: row["interleaved_list"].reverse()),
    ],
)
def test_a_spoiled_row_is_found(name: str, spoil: Any, tmp_path: Path):
    row = exported(name, [sample(0), sample(1)], tmp_path)[0]
    copy = json.loads(json.dumps(row))
    spoil(copy)
    assert open_format(name, ExportOptions()).check(copy)


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if kind.suffix != "txt"])
def test_a_cut_file_is_found(name: str, tmp_path: Path):
    target = open_format(name, ExportOptions())
    file = io.BytesIO()
    target.write(target.rows([sample(k) for k in range(3)]), file)
    path = tmp_path / "cut"
    path.write_bytes(file.getvalue()[:-20])
    with pytest.raises(UsageError, match="is not JSON"):
        list(target.read(path))


def test_unknown_names_and_forms():
    with pytest.raises(UsageError, match="there are internvid-jsonl"):
        open_format("webvid", ExportOptions())
    with pytest.raises(UsageError, match="has no form 'z'; it has a, b, c"):
        open_format("internvid-icl", ExportOptions(form="z"))
