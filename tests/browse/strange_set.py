"""A small real data set whose texts are what strangers write: markup, SQL, paths, emoji, many scripts, words without end.

Twelve seconds of made video in four files with known cuts go through the real stages; only the captions are made here, by a stage that
takes them from a list."""

import functools
import json
from pathlib import Path

from pydantic import Field

from internvid_pipeline.config import DatasetConfig, config_from
from internvid_pipeline.engine import run_dataset
from internvid_pipeline.media import synth_scenes as scenes
from internvid_pipeline.media.synth_encode import Shot, make_video
from internvid_pipeline.records import CaptionRecord, ClipRecord
from tests.made_stages import MadeCaptions, MadeCaptionsConfig, made_caption

LONG_WORD = "x" * 10_000
TITLES = (
    "<script>document.title='owned'</script><b>bold</b>",
    '\'; DROP TABLE rows; -- "quoted"',
    "../../etc/passwd \u202etxt.exe\u202c مرحبا 🎬",
    LONG_WORD,
)
CAPTIONS = (
    "一只白色的猫坐在桌子上",
    "قطة بيضاء تجلس على الطاولة",
    "<img src=x onerror=\"document.title='owned'\"> a man is riding a red bike down the street",
    "a dog jumps over the fence'); DELETE FROM rows; --",
    f"two people dancing %00 ../../../etc/passwd {LONG_WORD}",
    "un café très noir près de la fenêtre 👩‍👩‍👧",
)
LANGUAGES = ("zh", "ar", None, "en")


class StrangeCaptionsConfig(MadeCaptionsConfig):
    ending: str = Field(default="", description="Behind every text, for another fingerprint.")


class StrangeCaptions(MadeCaptions):
    name = "strange_captions"
    config_type = StrangeCaptionsConfig

    def captions(self, clip: ClipRecord) -> tuple[CaptionRecord, ...]:
        text = CAPTIONS[round(clip.start_s * 1000 + clip.num_frames) % len(CAPTIONS)] + self.config.ending
        return (made_caption(clip, "fused", text),)


def make_source(folder: Path) -> Path:
    """Four videos, and a list of them with titles, languages and licences; a fifth line names a file that is no video."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, title in enumerate(TITLES):
        frames = [20 + 7 * number, 26, 33, 40 - 5 * number]
        kinds = [scenes.plasma(0.1 + 0.2 * number), scenes.checkerboard(0.6), scenes.blobs(0.3 * number), scenes.ball(0.5)]
        path = folder / f"{number}.mp4"
        make_video(path, [Shot(kind, count) for kind, count in zip(kinds, frames, strict=True)], size_px=(160, 90))
        row = {"path": str(path), "title": title, "licence": "CC-BY" if number % 2 else None, "language": LANGUAGES[number]}
        lines.append({key: value for key, value in row.items() if value is not None})
    broken = folder / "<b>broken<_b>.mp4"
    broken.write_bytes(b"this is no video")
    lines.append({"path": str(broken), "title": "broken"})
    (folder / "list.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return folder / "list.jsonl"


def strange_config(root: Path | str, source: Path, ending: str = "", **selections: dict) -> DatasetConfig:
    """The config of the set; `selections` stand beside `default`, which leaves out clips shorter than 1 s."""
    stages = {
        "import_videos": {},
        "scan_videos": {},
        "cut_clips": {"min_clip_s": 0.2},
        "tests.browse.strange_set:StrangeCaptions": {"ending": ending},
        "score_alignment": {"model": "stand-in-scorer"},
        "select_clips": {"selections": {"default": {"rules": [{"column": "duration_s", "minimum": 1.0}]}, **selections}},
        "write_shards": {},
    }
    return config_from(
        {
            "name": "strange-set",
            "root": str(root),
            "source": {"path": str(source), "partition_videos": 2},
            "stages": stages,
            "placement": {"isolate": False},
            "max_failed_ratio": 0.5,
        }
    )


@functools.cache
def made_once(folder: Path) -> Path:
    """The strange set, with captions under two fingerprints: the config's own end in a full stop."""
    source = make_source(folder / "videos")
    for ending in ("", " ."):
        report = run_dataset(strange_config(folder / "root", source, ending), engine="inline")
        assert not report.errors
    return folder / "root"
