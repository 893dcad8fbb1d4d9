"""Videos made on the spot with the truth known: what `make demo` runs on, and what tests and benchmarks make their own of."""

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from internvid_pipeline.media import synth_scenes as scenes
from internvid_pipeline.media.synth_audio import Sound, melody, speech_or_melody
from internvid_pipeline.media.synth_encode import MadeVideo, Shot, VideoSettings, encode, make_video, truth

__all__ = ["MadeVideo", "Shot", "Sound", "make_demo_videos", "make_video"]

_RECIPES_VERSION = 1  # raise it when the same name should hold another video: files of other versions are made again
_SENTENCE = "The quick brown fox jumps over the lazy dog. This is a test of the spoken language."
# Subtitles beside the videos, as people write them: one in each of four scripts, of which the first also marks music.
_SUBTITLES = {
    "01_cuts_motion.en.srt": (
        "1\n00:00:00,300 --> 00:00:02,000\nColours flow into one another.\n\n2\n00:00:02,400 --> 00:00:03,900\n[Music]\n\n"
        "3\n00:00:04,100 --> 00:00:09,500\nSquares, then a set that never ends,\nand last of all a ball that bounces 🏀\n"
    ),
    "02_speech.en.vtt": (
        "WEBVTT\n\n00:00.200 --> 00:03.000\nThe quick brown fox jumps over the lazy dog.\n\n"
        "00:04.300 --> 00:07.000\nThis is a test of the spoken language.\n"
    ),
    "06_portrait_rotated.ar.vtt": (
        "WEBVTT\n\n00:00.500 --> 00:01.900\nكلمة تتجه إلى الأعلى 😀\n\n00:02.200 --> 00:04.500\nثم كرة تتحرك على الشاشة.\n"
    ),
    "09_spaces, имя и 名前.zh-Hans.vtt": (
        "WEBVTT\n\n00:00.400 --> 00:02.300\n格子在慢慢移动。\n\n00:02.700 --> 00:04.600\n然后颜色变成了云🌸。\n"
    ),
}
_DUPLICATE, _BROKEN, _EMPTY = "07_duplicate_of_01.mp4", "10_broken_no_moov.mp4", "11_empty.mp4"
_NTSC_FPS, _FILM_FPS = Fraction(30000, 1001), Fraction(24000, 1001)


@dataclass(frozen=True)
class _Recipe:
    name: str
    shots: tuple[Shot, ...]
    settings: VideoSettings


def make_demo_videos(folder: str | os.PathLike[str]) -> list[MadeVideo]:
    """Make eleven small videos in `folder` (made if absent), in the order of their names, about a minute in all, and subtitles beside four.

    Two of the videos cannot be opened and one is a copy, on purpose. A file that is there and complete is left alone, so that a second
    call costs next to nothing. Raises SetupError where no ffmpeg is found (two shots are footage from its test sources).
    """
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    made = [_make(home, recipe) for recipe in (*_good_recipes(), *_odd_recipes())]
    first = made[0]
    content = first.path.read_bytes()
    _keep(home / _DUPLICATE, content)
    _keep(home / _BROKEN, content[: len(content) // 2])
    _keep(home / _EMPTY, b"")
    for name, text in _SUBTITLES.items():
        _keep(home / name, text.encode())
    made += [
        replace(first, path=home / _DUPLICATE, note=f"a copy of {first.path.name}, byte by byte"),
        MadeVideo(home / _BROKEN, (), 0, 0.0, f"broken: the first half of {first.path.name}, without the table of frames at its end"),
        MadeVideo(home / _EMPTY, (), 0, 0.0, "an empty file"),
    ]
    return sorted(made, key=lambda video: video.path.name)


def _good_recipes() -> list[_Recipe]:
    sound = speech_or_melody(_SENTENCE, duration_s=8.0)
    return [
        _Recipe(
            "01_cuts_motion.mp4",
            (
                Shot(scenes.plasma(hue=0.02), 55),
                Shot(scenes.blobs(hue=0.62), 45),
                Shot(scenes.checkerboard(hue=0.30), 40),
                Shot(scenes.footage("mandelbrot", start_scale="0.9", end_scale="0.3", end_pts="200"), 50),
                Shot(scenes.ball(hue=0.55), 60),
            ),
            VideoSettings(size_px=(640, 360), note="five moving shots"),
        ),
        _Recipe(
            "02_speech.mp4",
            (Shot(scenes.ball(hue=0.12), 96), Shot(scenes.blobs(hue=0.78, value=0.3), 96)),
            VideoSettings(size_px=(480, 270), fps=24, audio=sound, note=f"two shots; {sound.note}"),
        ),
        _Recipe(
            "03_text.mp4",
            (Shot(scenes.text("INTERNVID", hue=0.6), 90), Shot(scenes.text("video, text,\ntruth known", hue=0.97, size_ratio=0.16), 90)),
            VideoSettings(size_px=(480, 270), fps=_NTSC_FPS, note="two shots of drifting letters: INTERNVID, then a line of words"),
        ),
    ]


def _odd_recipes() -> list[_Recipe]:
    return [
        _Recipe(
            "04_still_picture.mp4",
            (Shot(scenes.still(scenes.blobs(hue=0.36, value=0.5)), 125),),
            VideoSettings(audio=melody(5.0), note="one picture that stands still; a melody of tones"),
        ),
        _Recipe(
            "05_variable_frame_rate.mp4",
            (Shot(scenes.footage("testsrc2"), 60), Shot(scenes.plasma(hue=0.75, value=0.6), 75)),
            VideoSettings(size_px=(400, 224), frame_durations_ms=(20, 40, 60), note="two shots; frames last 20, 40 and 60 ms by turns"),
        ),
        _Recipe(
            "06_portrait_rotated.mp4",
            (Shot(scenes.text("UP", hue=0.45, size_ratio=0.25), 50), Shot(scenes.ball(hue=0.05), 70)),
            VideoSettings(size_px=(270, 480), rotation_deg=-90, note="two upright shots, stored on their side as phones do"),
        ),
        _Recipe("08_black.mp4", (Shot(scenes.solid(0, 0, 0), 100),), VideoSettings(note="black")),
        _Recipe(
            "09_spaces, имя и 名前.mp4",
            (Shot(scenes.checkerboard(hue=0.1), 60), Shot(scenes.plasma(hue=0.5, value=0.5), 60)),
            VideoSettings(fps=_FILM_FPS, gop_frames=24, note="two moving shots; a file name with spaces and non-Latin letters"),
        ),
    ]


def _make(folder: Path, recipe: _Recipe) -> MadeVideo:
    path = folder / recipe.name
    comment = f"demo recipe {_RECIPES_VERSION}: {recipe.settings.note}"
    if _comment(path) != comment:
        encode(path, recipe.shots, replace(recipe.settings, note=comment))
    return truth(path, recipe.shots, recipe.settings)


def _comment(path: Path) -> str | None:
    """The comment written into a video, None if it cannot be opened. Files are put in place whole: one that has it is complete."""
    import av

    try:
        with av.open(str(path)) as container:
            comment: str | None = container.metadata.get("comment")
            return comment
    except (OSError, av.FFmpegError):
        return None


def _keep(path: Path, content: bytes) -> None:
    """Write `content` unless the file holds it already."""
    if not path.is_file() or path.read_bytes() != content:
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
