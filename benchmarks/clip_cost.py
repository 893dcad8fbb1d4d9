"""CPU seconds (user and system, of whole process trees, side by side in one run) of scanning, cutting and packing a video, over a plain
decode of it; beside PySceneDetect's own way of doing the same.

    python benchmarks/clip_cost.py [--folder build/clip-footage] [--repeat 3] [--peer]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from clip_footage import make

from internvid_pipeline.media.ffmpeg import ffmpeg_path


def tree_cpu_s(command: list[str], **options: object) -> tuple[float, str]:
    """Runs a command; CPU seconds of it and its children, and what it wrote."""
    before = os.times()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system, done.stdout


def decode(video: Path) -> float:
    """ffmpeg, one thread, pictures thrown away."""
    return tree_cpu_s([ffmpeg_path(), "-v", "error", "-threads", "1", "-i", str(video), "-an", "-f", "null", "-"])[0]


def ours(video: Path, preset: str) -> dict[str, float]:
    """CPU seconds of scan (with frames), clips and tar through the public functions in one process, and of its start."""
    total_s, answer = tree_cpu_s([sys.executable, __file__, "--part", str(video), "--preset", preset])
    parts: dict[str, float] = json.loads(answer.splitlines()[-1])
    return parts | {"start": total_s - parts["scan"] - parts["clips"] - parts["tar"]}


def part(video: Path, preset: str) -> None:
    """The measured process."""
    from internvid_pipeline.media.clip_plan import ClipSettings, ClipSpan
    from internvid_pipeline.media.clips import write_clips
    from internvid_pipeline.media.container import prepare_worker
    from internvid_pipeline.media.detectors import boundaries, scorer
    from internvid_pipeline.media.scan import FrameKeeping, scan_video
    from internvid_pipeline.media.scan_file import write_scan
    from internvid_pipeline.media.video_encoders import EncoderSettings
    from internvid_pipeline.storage.media_tar import MediaTarWriter

    prepare_worker()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        marks = [time.process_time()]
        scan = scan_video(video, [scorer("transition")], frames=FrameKeeping(folder=folder, stem="frame"))
        write_scan(scan, folder / "scan.parquet")
        marks.append(time.process_time())
        shots = scan.shots(boundaries("transition", scan.scores, scan.times))
        spans = [ClipSpan(shot.start_frame, shot.end_frame, f"clip{shot.start_frame:07d}") for shot in shots]
        written = list(write_clips(video, scan, spans, folder, ClipSettings(EncoderSettings(preset=preset))))
        marks.append(time.process_time())
        with MediaTarWriter(folder / "all.tar") as tar:
            for path in [*(clip.path for clip in written), *(kept.path for kept in scan.kept)]:
                tar.add(path)
        marks.append(time.process_time())
        modes = Counter(clip.plan.mode.value for clip in written)
        answer = dict(zip(("scan", "clips", "tar"), (after - before for before, after in pairwise(marks)), strict=True))
        answer |= {"megabytes": sum(clip.path.stat().st_size for clip in written) / 1e6, "num_clips": len(written)}
        answer |= {"reencoded": sum(clip.plan.num_reencoded for clip in written), "frames": sum(clip.num_frames for clip in written)}
        print(json.dumps(answer | {f"num_{mode}": count for mode, count in modes.items()}))


def peer(video: Path) -> float:
    """`scenedetect detect-content split-video`, which looks for ffmpeg on PATH."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "ffmpeg").symlink_to(ffmpeg_path())
        environment = os.environ | {"PATH": f"{name}:{os.environ['PATH']}"}
        program = Path(sys.executable).with_name("scenedetect")
        command = [str(program), "-q", "-i", str(video), "-o", name, "detect-content", "split-video"]
        return tree_cpu_s(command, env=environment)[0]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/clip-footage"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peer", action="store_true", help="also PySceneDetect with split-video")
    parser.add_argument("--preset", action="append", help="x264 preset of what is encoded; may be repeated")
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part(arguments.part, arguments.preset[0])
        return
    for name, video in make(arguments.folder).items():
        for _ in range(arguments.repeat):
            base_s = decode(video)
            print(f"{name}: decode {base_s:.1f} CPU s")
            for preset in arguments.preset or ["quick"]:
                got = ours(video, preset)
                sum_s = got["scan"] + got["clips"] + got["tar"]
                words = "  ".join(f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}" for key, value in got.items())
                print(f"{name}: ours ({preset}) {sum_s:.1f} CPU s = {sum_s / base_s:.2f} of decode   {words}", flush=True)
            if arguments.peer:
                peer_s = peer(video)
                print(f"{name}: scenedetect detect-content split-video {peer_s:.1f} CPU s = {peer_s / base_s:.2f} of decode", flush=True)


if __name__ == "__main__":
    main()
