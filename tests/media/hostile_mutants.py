"""Small videos of fifteen kinds, and what chance makes of them: bytes flipped, put in, taken out, swapped, and cut off."""

import os
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from internvid_pipeline.media.ffmpeg import ffmpeg_path
from tests.media.made import Made, Track, beeps, noisy, shots_of, write_video

NUM_FRAMES = 36
_SIZE = (160, 96)
_WORDS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\0\0\0\1", b"\xff\xff\xff\x7f")


@dataclass(frozen=True)
class Kind:
    """A container with a codec. sound: codec of the sound, empty for none."""

    suffix: str
    codec: str
    sound: str = ""
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)

    note: str = ""

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.suffix, self.codec, self.note) if part)


KINDS = (
    Kind("mp4", "libx264", "aac", options={"bf": "2"}),
    Kind("mp4", "libx264", "aac", container={"movflags": "+faststart"}, note="faststart"),
    Kind("mp4", "libx264", "aac", container={"movflags": "+frag_keyframe+empty_moov"}, note="fragments"),
    Kind("mkv", "libx264", "libopus"),
    Kind("mp4", "libx265", options={"x265-params": "log-level=none:pools=none"}),
    Kind("webm", "libvpx", "libopus"),
    Kind("webm", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    Kind("mkv", "libsvtav1", options={"preset": "12"}),
    Kind("avi", "mpeg4", "mp2"),
    Kind("mpg", "mpeg2video", "mp2"),
    Kind("ts", "libx264", "aac"),
    Kind("ts", "mpeg2video", "mp2"),
    Kind("mov", "prores_ks", pix_fmt="yuv422p10le"),
    Kind("avi", "mjpeg", "pcm_s16le", pix_fmt="yuvj420p"),
    Kind("flv", "flv", "libmp3lame"),
    Kind("wmv", "wmv2", "pcm_s16le"),
    Kind("ogv", "libtheora"),
)


def write_kind(kind: Kind, folder: Path) -> Path:
    """36 pictures with grain in two shots, 160x96, and a second of sound."""
    os.environ.setdefault("SVT_LOG", "1")  # its encoder would print forty lines
    pictures = [noisy(picture) for picture in shots_of([NUM_FRAMES // 2] * 2, *_SIZE)]
    tracks = [Track(beeps([0.1, 0.8], 1.44), codec=kind.sound)] if kind.sound else []
    made = Made(codec=kind.codec, pix_fmt=kind.pix_fmt, options=kind.options, container_options=kind.container, tracks=tracks, gop=8)
    path = folder / f"{kind.name}.{kind.suffix}"
    if kind.codec != "libtheora":
        return write_video(path, pictures, made)
    # PyAV's own libraries cannot write Theora, the ffmpeg program of imageio-ffmpeg can.
    lossless = write_video(folder / "theora.nut", pictures, Made(codec="ffv1"))
    command = [
        ffmpeg_path(),
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-i",
        str(lossless),
        "-c:v",
        "libtheora",
        "-threads",
        "1",
        "-g",
        "8",
        str(path),
    ]
    subprocess.run(command, check=True, timeout=60)
    lossless.unlink()
    return path


def mutant(data: bytes, chance: random.Random) -> bytes:
    """One to three changes to `data`."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(_CHANGES)(changed, chance)
    return bytes(changed)


def _place(data: bytearray, chance: random.Random) -> int:
    """Anywhere, and as often in the first or last two kilobytes, where headers and indexes lie."""
    return min(
        len(data) - 1, chance.choice((chance.randrange(len(data)), chance.randrange(2048), max(0, len(data) - chance.randrange(1, 2048))))
    )


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 30))):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at : at + 4] = chance.choice(_WORDS)


def _insert(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at:at] = chance.randbytes(chance.choice((1, 4, 188, 1000)))


def _delete(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    del data[at : at + min(chance.choice((1, 4, 188, 3000)), len(data) // 2)]


def _swap(data: bytearray, chance: random.Random) -> None:
    size = min(chance.choice((16, 188, 4096)), len(data) // 4)
    first = chance.randrange(len(data) - 2 * size)
    second = chance.randrange(first + size, len(data) - size + 1)
    data[first : first + size], data[second : second + size] = data[second : second + size], data[first : first + size]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at:at] = data[at : at + chance.choice((8, 188, 4096))]


def _zero(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    size = min(chance.choice((8, 512, 5000)), len(data) - at)
    data[at : at + size] = bytes(size)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[max(len(data) // 10, chance.randrange(len(data))) :]


_CHANGES = (_flip, _flip, _overwrite, _overwrite, _insert, _delete, _swap, _repeat, _zero, _cut)


def write_mutants(folder: Path, seeds: list[Path], per_seed: int) -> list[Path]:
    """`per_seed` mutants of each, always the same ones."""
    made = []
    for seed in seeds:
        data = seed.read_bytes()
        for number in range(per_seed):
            path = folder / f"{seed.stem}-{number:03d}{seed.suffix}"
            path.write_bytes(mutant(data, random.Random(f"{seed.stem} {number}")))
            made.append(path)
    return made


def write_cut_short(folder: Path, seeds: list[Path]) -> list[Path]:
    """Each cut off at every tenth of its length."""
    made = []
    for seed in seeds:
        data = seed.read_bytes()
        for tenth in range(1, 10):
            path = folder / f"{seed.stem}-cut{tenth}0{seed.suffix}"
            path.write_bytes(data[: len(data) * tenth // 10])
            made.append(path)
    return made
