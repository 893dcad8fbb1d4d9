"""Speech from subtitles to shards and tables: right-to-left, Chinese and emoji come out byte for byte as they went in."""

import io
import json
import tarfile
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import config_from
from internvid_pipeline.engine import run_dataset
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.exporters.check_shards import check_shards, shard_paths
from tests.media.made import Made, Track, beeps, shots_of, write_video

pytest.importorskip("lingua", reason="the extra `speech` is not installed")

# Two shots of 3 s each; one cue in each.
SAID = {
    "he": ("היום יש מזג אוויר נפלא 😀, ולכן אנחנו הולכים לפארק", "עם כל החברים שלנו מבית הספר 👨‍👩‍👧"),
    "ar": ("الطقس جميل جدا اليوم 🌞، لذلك سنذهب إلى الحديقة", "مع جميع أصدقائنا من المدرسة"),
    "zh": ("今天天气很好，所以我们去公园散步🌸。", "和所有的朋友一起𠮷野家吃饭。"),
    "en": ("The weather is lovely today, so we go to the park", "with all of our friends from school"),
}


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    videos = folder / "videos"
    videos.mkdir()
    for number, (code, (first, second)) in enumerate(SAID.items()):
        sound = Track(beeps([0.5], 6.0 + number / 10))
        write_video(videos / f"{code}.mp4", shots_of([30, 30 + number], 64, 48), Made(fps=10, tracks=[sound]))
        vtt = f"WEBVTT\n\n00:00.200 --> 00:02.800\n{first}\n\n00:03.200 --> 00:05.800\n{second}\n"
        (videos / f"{code}.{code}.vtt").write_bytes(vtt.encode())
    stand_in = {"model": "stand-in-captioner"}
    stages = {
        "import_videos": {},
        "scan_videos": {"detectors": ["content"]},
        "cut_clips": {"detector": "content", "threshold": 10, "min_clip_s": 1},
        "transcribe_videos": {"recogniser": None},
        "align_speech": {},
        "identify_languages": {"text_languages": list(SAID), "exact": False},
        "translate_speech": {"model": "stand-in-summariser"},
        "caption_clips": {"coarse": stand_in, "fine": None, "fused": None},
        "fuse_captions": {"model": "stand-in-summariser"},
        "score_alignment": {"model": "stand-in-scorer"},
        "select_clips": {"selections": {"all": {"rules": []}}},
        "write_shards": {"write_vtt": True, "write_frames": True, "write_audio": True},
    }
    source = {"path": str(videos), "partition_videos": 2}
    config = config_from(
        {"name": "speech", "root": str(folder / "root"), "source": source, "stages": stages, "placement": {"isolate": False}}
    )
    report = run_dataset(config, engine="inline")
    assert not report.errors and not any(status.failed for status in report.statuses)
    by_name = {status.stage: status for status in report.statuses}
    assert by_name["identify_languages"].rows_by_language == dict.fromkeys(sorted(SAID), 2)
    return folder / "root"


def rows(root: Path, stage: str) -> list[dict]:
    found = [path for path in sorted(root.glob(f"{stage}/*/*.parquet")) if path.name.count(".") == 1]
    return [row for path in found for row in pq.read_table(path).to_pylist()]


def test_every_text_is_in_the_tables_byte_for_byte(data_set: Path):
    texts = {text.encode() for pair in SAID.values() for text in pair}
    for stage in ("align_speech", "identify_languages", "translate_speech"):
        assert {row["text"].encode() for row in rows(data_set, stage)} == texts
    said = {one["text"].encode() for row in rows(data_set, "transcribe_videos") for one in row["utterances"]}
    assert said == texts
    for row in rows(data_set, "translate_speech"):
        (part,) = row["transcripts"]
        assert "".join(word["text"] for one in part["utterances"] for word in one["words"]).encode() == row["text"].encode()
        assert row["source"] == "manual_subtitles" and 0 <= row["start_s"] < row["end_s"] <= 3.2


def test_shards_carry_text_language_source_times_and_vtt(data_set: Path):
    seen = set()
    for path in sorted((data_set / "shards" / "all").glob("*.tar")):
        with tarfile.open(path) as tar:
            parts = {info.name: tar.extractfile(info).read() for info in tar}
        for name, data in parts.items():
            if not name.endswith(".json"):
                continue
            sample = json.loads(data)
            speech = sample["speech"]
            code = speech["language"]
            assert speech["text"] in SAID[code] and speech["text"].encode() in data, "not escaped"
            assert speech["track"] == code and speech["source"] == "manual_subtitles" and 0 < speech["language_probability"] <= 1
            assert (speech["english"] == speech["text"]) == (code == "en")
            utterances = json.loads(speech["transcripts_json"])[0]["utterances"]
            assert [one["text"] for one in utterances] == [speech["text"]]
            vtt = parts[name.replace(".json", ".vtt")].decode()
            assert vtt.startswith(f"WEBVTT\nLanguage: {code}\n") and speech["text"] in vtt
            seen.add(speech["text"])
    assert seen == {text for pair in SAID.values() for text in pair}


def test_shards_carry_frames_and_sound_and_are_whole(data_set: Path):
    for path in sorted((data_set / "shards" / "all").glob("*.tar")):
        with tarfile.open(path) as tar:
            parts = {info.name: tar.extractfile(info).read() for info in tar}
        for name in (name for name in parts if name.endswith(".json")):
            clip_id, duration_s = name.removesuffix(".json"), json.loads(parts[name])["duration_s"]
            frames = sorted(part for part in parts if part.startswith(f"{clip_id}.frame-"))
            assert len(frames) >= 8 and all(parts[frame].startswith(b"\xff\xd8") for frame in frames)
            assert all(0 <= int(frame.split("-")[-1].removesuffix(".jpg")) < 1000 * duration_s for frame in frames)
            with av.open(io.BytesIO(parts[f"{clip_id}.flac"])) as sound:
                samples = sum(frame.samples for frame in sound.decode(audio=0))
            assert abs(samples / 16_000 - duration_s) < 0.1
    root, _, plans, partitions = open_dataset(str(data_set))
    assert validate_dataset(root, plans, partitions, read_media=True).problems == []
    assert [problem for _, problems in check_shards(shard_paths(data_set / "shards"), True) for problem in problems] == []


def test_exports_carry_it(data_set: Path):
    import subprocess
    import sys

    out = data_set.parent / "icl.jsonl"
    command = [
        sys.executable,
        "-m",
        "internvid_pipeline.cli.main",
        "export",
        "internvid-icl",
        str(data_set),
        "--form",
        "b",
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    spoken = {entry["asr"] for line in out.read_text().splitlines() for entry in json.loads(line)["interleaved_list"]}
    assert spoken == {text for pair in SAID.values() for text in pair}
