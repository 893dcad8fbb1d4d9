"""What scanning costs over a plain decode: CPU seconds (user + system) of processes of their own, side by side, by turns.

    python benchmarks/scan_cost.py [--seconds 160] [--rounds 3] [--video FILE]

The footage, 720p H.264 as x264 makes it by default, is made first unless a file is given: textures with detail of all sizes that are panned
and zoomed at different speeds under film grain, a hard cut every five seconds or so.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from internvid_pipeline.media.ffmpeg import ffmpeg_path

FPS, WIDTH, HEIGHT = 25, 1280, 720
_IMPORTS = """
import sys, tempfile
from pathlib import Path
from internvid_pipeline.media.container import prepare_worker
from internvid_pipeline.media.detectors import scorer
from internvid_pipeline.media.scan import FrameKeeping, scan_video
prepare_worker()
scorers = [scorer("transition")]
"""
_SCAN = """
with tempfile.TemporaryDirectory() as folder:
    scan = scan_video(Path(sys.argv[1]), scorers, fast=sys.argv[2] == "fast", frames=FrameKeeping(Path(folder), "v"))
"""


def texture(chance: np.random.Generator) -> np.ndarray:
    """uint8 [3 * HEIGHT, 3 * WIDTH, 3]: noise of all sizes in random colours, with hard-edged shapes upon it."""
    size = (3 * WIDTH, 3 * HEIGHT)
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for octave in range(2, 9):
        cells = chance.random((2**octave, 2**octave, 3), dtype=np.float32) - 0.5
        picture += cv2.resize(cells, size, interpolation=cv2.INTER_CUBIC) * (110 / (octave - 1) ** 0.7)
    picture += chance.uniform(70, 180, 3).astype(np.float32)
    for _ in range(60):
        centre = (int(chance.integers(size[0])), int(chance.integers(size[1])))
        cv2.circle(picture, centre, int(chance.integers(20, 200)), chance.uniform(0, 255, 3).tolist(), int(chance.integers(-1, 9)) or 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def pictures(num_frames: int):
    """BGR pictures of shots of 60 to 190 frames."""
    chance = np.random.default_rng(3)
    grain = [chance.normal(0, 3, (HEIGHT, WIDTH, 1)).astype(np.int8) for _ in range(5)]
    made = 0
    while made < num_frames:
        ground, length = texture(chance), min(int(chance.integers(60, 190)), num_frames - made)
        speed, zoom = chance.uniform(-6, 6, 2), chance.uniform(-0.002, 0.002)
        for step in range(length):
            scale = 1 + zoom * step
            shift = (WIDTH + speed[0] * step, HEIGHT + speed[1] * step)
            matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
            shown = cv2.warpAffine(
                ground, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
            )
            yield np.clip(shown.astype(np.int16) + grain[step % 5], 0, 255).astype(np.uint8)
        made += length


def make_footage(path: Path, seconds: int) -> None:
    """H.264 as x264 makes it by default."""
    source = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-"]
    command = [ffmpeg_path(), "-v", "error", "-y", *source, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for picture in pictures(seconds * FPS):
            encoder.stdin.write(picture.tobytes())
    if encoder.returncode:
        raise SystemExit("ffmpeg could not make the footage")


def cpu_s(command: list[str]) -> float:
    """User and system seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--video", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = given.video or Path(folder) / "footage.mp4"
        if given.video is None:
            make_footage(video, given.seconds)
        python, name = sys.executable, str(video)
        commands = {
            "decode": [ffmpeg_path(), "-threads", "1", "-i", name, "-f", "null", "-"],
            "PySceneDetect": [python, "-m", "scenedetect", "-i", name, "detect-content"],
            "its start": [python, "-m", "scenedetect", "version"],
            "full": [python, "-c", _IMPORTS + _SCAN, name, "full"],
            "fast": [python, "-c", _IMPORTS + _SCAN, name, "fast"],
            "our start": [python, "-c", _IMPORTS],
        }
        seconds = {kind: [cpu_s(command) for command in [commands[kind]] * 1] for kind in commands}
        for _ in range(given.rounds - 1):
            for kind, command in commands.items():
                seconds[kind].append(cpu_s(command))
    start = {"PySceneDetect": "its start", "full": "our start", "fast": "our start"}
    decode = min(seconds["decode"])
    print("| what | CPU s of each round | over decode | without start-up |\n|---|---|--:|--:|")
    for kind, values in seconds.items():
        net = min(values) - (min(seconds[start[kind]]) if kind in start else 0.0)
        print(f"| {kind} | {', '.join(f'{value:.2f}' for value in values)} | {min(values) / decode:.2f} | {net / decode:.2f} |")


if __name__ == "__main__":
    main()
