"""Peak memory of the workers that scan and cut, at one minute and at two hours, 1080p and 4K: `python benchmarks/scan_memory.py`.

Long files are made cheaply: ten seconds are encoded once (two shots, moving, H.264 with B-frames, a key frame every two seconds, AAC) and
their packets repeated. The frame rate is low (5 a second at 1080p, 2 at 4K) so that two hours can be decoded here in minutes; what is kept
per frame is 24 bytes, 4 MB more for two hours at 30 frames a second.

Each stage runs in a process of its own over a data set in which the stages before it are done, with one watched worker; measured is the
largest resident set that this worker ever had.
"""

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import psutil

from internvid_pipeline.media import synth_scenes as scenes
from internvid_pipeline.media.synth import Shot, make_video
from internvid_pipeline.media.synth_audio import melody

_SEGMENT_S = 10


@dataclass(frozen=True)
class Size:
    """limit_mb: that must not be passed (issue 3, must-show 5)."""

    name: str
    width_px: int
    height_px: int
    fps: int
    limit_mb: int


SIZES = (Size("1080p", 1920, 1080, 5, 400), Size("4K", 3840, 2160, 2, 1000))


def make_segment(size: Size, path: Path) -> Path:
    """Ten seconds in two shots."""
    half = size.fps * _SEGMENT_S // 2
    shots = [Shot(scenes.plasma(hue=0.05), half), Shot(scenes.checkerboard(hue=0.6), half)]
    picture = size.width_px, size.height_px
    make_video(path, shots, fps=size.fps, size_px=picture, audio=melody(_SEGMENT_S), gop_frames=2 * size.fps)
    return path


def repeat(segment: Path, path: Path, times: int) -> Path:
    """The packets of `segment`, `times` times one after the other."""
    with av.open(str(path), "w") as target:
        with av.open(str(segment)) as source:
            streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for number in range(times):
            with av.open(str(segment)) as source:
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None or packet.pts < 0:
                        continue
                    shift = round(number * _SEGMENT_S / Fraction(packet.time_base or 1))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, streams[packet.stream_index]
                    target.mux(packet)
    return path


class _Peak(threading.Thread):
    """Looks at the workers of this process ten times a second: the kernel keeps each one's high-water mark (VmHWM), so that nothing
    between two looks is missed. `getrusage` would count the moment of the fork too, when the worker still has the driver's size."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.kb = 0
        self._stop_asked = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error, OSError):
                    if "internvid_pipeline.engine.workers.child" in child.cmdline():
                        status = Path(f"/proc/{child.pid}/status").read_text()
                        self.kb = max(self.kb, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)

    def finish(self) -> int:
        self._stop_asked.set()
        self.join()
        return self.kb


def run_until(root: Path, source: Path, stage: str) -> None:
    """In this process: what is missing up to a stage; prints the peak of the largest worker in kB, and the CPU seconds of them all."""
    from internvid_pipeline.config import load_config
    from internvid_pipeline.engine import run_dataset

    peak = _Peak()
    peak.start()
    report = run_dataset(load_config("demo", [f"root={root}", f"source.path={source}"]), engine="inline", until=stage)
    assert not report.errors, report.errors
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"peak {peak.finish()} {used.ru_utime + used.ru_stime:.1f} {report.statuses[-1]}")


def measure(root: Path, source: Path, stage: str) -> tuple[float, float]:
    """(peak in MB, CPU seconds) of a stage's worker, in a process that has no other children."""
    command = [sys.executable, __file__, "--until", stage, "--root", str(root), "--source", str(source)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("peak "))
    peak_kb, cpu_s = line.split()[1:3]
    assert "emitted=1" in line or stage == "cut_clips", line
    return int(peak_kb) * 1024 / 1e6, float(cpu_s)


def main() -> None:
    """Prints a table as it stands in benchmarks/README.md."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=int, nargs="+", default=[1, 120])
    options.add_argument("--sizes", nargs="+", default=[size.name for size in SIZES])
    options.add_argument("--stages", nargs="+", default=["import_videos", "scan_videos", "cut_clips"])
    options.add_argument("--fps", type=int, help="instead of 5 (1080p) and 2 (4K)")
    options.add_argument("--until", help=argparse.SUPPRESS)
    options.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.until:
        run_until(chosen.root, chosen.source, chosen.until)
        return
    print("| picture | fps | length | stage | peak MB | limit MB | CPU s |\n|---|--:|--:|---|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory(prefix="scan-memory-") as folder:
        for size in (replace(size, fps=chosen.fps or size.fps) for size in SIZES if size.name in chosen.sizes):
            segment = make_segment(size, Path(folder, f"{size.name}-segment.mp4"))
            for minutes in chosen.minutes:
                place = Path(folder, f"{size.name}-{minutes}")
                (place / "source").mkdir(parents=True)
                repeat(segment, place / "source" / "video.mp4", minutes * 60 // _SEGMENT_S)
                for stage in chosen.stages:
                    peak_mb, cpu_s = measure(place / "root", place / "source", stage)
                    row = (size.name, size.fps, f"{minutes} min", f"`{stage}`", f"{peak_mb:.0f}", size.limit_mb, f"{cpu_s:.0f}")
                    print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
