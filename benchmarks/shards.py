"""How fast shards are written, beside `tar` on the same files: what write_shards does with a partition against `tar -cf`, in turns."""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/made_records.py

from internvid_pipeline.records import CaptionRecord, ClipRecord, MediaRef, SampleRecord, ScoreRecord, SelectionRecord, VideoRecord
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Emit, Item, WorkerContext
from internvid_pipeline.storage import Root, file_sha256
from stages.write_shards import sample_json
from tests.made_records import made_clip, made_video


def made_items(folder: Path, count: int, size_bytes: int) -> list[Item[SelectionRecord]]:
    """Clips in one tar-like file, as cut_clips leaves them, with a caption and a score each."""
    chance = np.random.default_rng(1)
    store = folder / "clips.bin"
    items = []
    with store.open("wb") as file:
        for number in range(count):
            clip_id, video_id = f"v{number // 30}_{number:09d}_{number + 1:09d}", f"v{number // 30}"
            data = chance.bytes(int(size_bytes * chance.uniform(0.3, 1.7)))
            ref = MediaRef(uri=str(store), offset_bytes=file.tell(), size_bytes=len(data), sha256="0" * 64)
            file.write(data)
            texts = {"caption": "A made caption of some twelve words, as captions of clips are.", "caption_scale": "fused"}
            row = SelectionRecord(clip_id=clip_id, video_id=video_id, selection="default", **texts)
            common = {"clip_id": clip_id, "video_id": video_id, "model": "m", "model_commit": "c", "is_stand_in": False}
            caption = CaptionRecord(scale="fused", text=row.caption, language="en", prompt=None, frames=(1,), **common)
            score = ScoreRecord(scorer="alignment", caption_scale="fused", value=0.3, num_frames=4, reduced="max", **common)
            clip = made_clip(clip_id, video_id, media=ref)
            joined = {VideoRecord: (made_video(video_id),), ClipRecord: (clip,), CaptionRecord: (caption,), ScoreRecord: (score,)}
            items.append(Item(row, joined=joined))
    return items


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds of wall and of CPU, of this process and its children."""
    os.sync()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    start = time.monotonic()
    work()
    wall_s = time.monotonic() - start
    after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return wall_s, sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(used, after, strict=True))


def main() -> None:
    """Prints a table for benchmarks/README.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--kb", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = made_items(folder, asked.clips, asked.kb * 1000)
        files = folder / "files"
        files.mkdir()
        root = Root(name)
        for item in items:
            clip = item.joined[ClipRecord][0]
            (files / f"{clip.clip_id}.mp4").write_bytes(root.read_media(clip.media))
            (files / f"{clip.clip_id}.json").write_text(str(sample_json(item)))
            (files / f"{clip.clip_id}.txt").write_text(item.record.caption)
        stage = build_stage("write_shards", {})
        scratch = folder / "scratch"
        scratch.mkdir()
        stage.setup(WorkerContext(root=root, scratch=scratch, resources=stage.resources))
        shard = scratch / "default" / "00000-00000.tar"

        def ours() -> None:
            outcomes = stage.process(items)
            assert all(isinstance(outcome, Emit) and isinstance(outcome.records[0], SampleRecord) for outcome in outcomes)

        def theirs() -> None:
            subprocess.run(["tar", "-cf", str(folder / "peer.tar"), "-C", str(files), "."], check=True)

        rows: dict[str, list[tuple[float, float]]] = {"tar": [], "write_shards": [], "sha256 of the shard": []}
        for _ in range(asked.rounds):
            rows["tar"].append(timed(theirs))
            rows["write_shards"].append(timed(ours))
            rows["sha256 of the shard"].append(timed(lambda: file_sha256(shard) and None))
        size_mb = shard.stat().st_size / 1e6
        print(f"{asked.clips} clips, {size_mb:.0f} MB; medians of {asked.rounds} rounds in turns")
        print("| what | MB/s wall | CPU s | speed of `tar` |")
        base = float(np.median([wall for wall, _ in rows["tar"]]))
        for what, found in rows.items():
            wall, cpu = (float(np.median([one[part] for one in found])) for part in (0, 1))
            print(f"| {what} | {size_mb / wall:.0f} | {cpu:.2f} | {base / wall:.0%} |")


if __name__ == "__main__":
    main()
