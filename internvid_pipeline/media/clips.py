"""A second pass over a video that writes spans of it as clips and keeps the frames that models look at."""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from internvid_pipeline.errors import DamagedMedia, UnreadableMedia
from internvid_pipeline.media.audio import SoundReader
from internvid_pipeline.media.clip_file import ClipFile, ClipTiming, EncoderSettings, verify
from internvid_pipeline.media.container import audio_stream, open_media, translated, video_stream
from internvid_pipeline.media.decode import FramePass
from internvid_pipeline.media.frames import FrameChoice, FrameSaver, KeptFrame
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.scan import VideoScan
from internvid_pipeline.media.upright import PictureFormat, Upright, output_format

_STEADY_S = Fraction(1, 1000)  # millisecond containers round 33.4 ms to 33 and 34


@dataclass(frozen=True)
class ClipSpan:
    """Frames [start_frame, end_frame) to be written as `<stem>.mp4`, and the ones among them to keep as `<stem>.f<number>.jpg`."""

    start_frame: int
    end_frame: int
    stem: str
    kept: FrameChoice


@dataclass(frozen=True)
class ClipSettings:
    """encoder, max_side_px: of the clips, None: as large as the source. frame_side_px, jpeg_quality: of the kept frames."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    max_side_px: int | None = None
    frame_side_px: int = 384
    jpeg_quality: int = 90


@dataclass(frozen=True)
class WrittenClip:
    """A clip that was written and verified. width_px, height_px: of its picture, upright."""

    span: ClipSpan
    path: Path
    width_px: int
    height_px: int
    has_audio: bool
    frames: tuple[KeptFrame, ...]


def write_clips(
    path: Path, scan: VideoScan, spans: Sequence[ClipSpan], folder: Path, settings: ClipSettings, limits: MediaLimits | None = None
) -> Iterator[WrittenClip]:
    """Decodes `path` once more and writes the spans, which must be ascending and apart, into `folder`, each yielded when it is complete
    and verified. Raises DamagedMedia where the file decodes differently from its scan or a clip comes out wrong; OSError for a full disk.
    """
    limits = limits or MediaLimits()
    _check_spans(spans, scan)
    if not spans:
        return
    with contextlib.ExitStack() as opened:
        container = opened.enter_context(open_media(path, limits))
        stream = video_stream(container)
        if stream is None:
            raise UnreadableMedia("has no video stream")
        sound_container = opened.enter_context(open_media(path, limits))
        cutter = _Cutter(path, scan, folder, settings, _sound_reader(path, sound_container))
        yield from cutter.cut(FramePass(path, container, stream, limits), spans)


def _sound_reader(path: Path, container: InputContainer) -> SoundReader | None:
    stream = audio_stream(container)
    return None if stream is None else SoundReader(path, container, stream)


def _check_spans(spans: Sequence[ClipSpan], scan: VideoScan) -> None:
    end = 0
    for span in spans:
        if not end <= span.start_frame < span.end_frame <= scan.times.num_frames:
            asked = [(span.start_frame, span.end_frame) for span in spans]
            raise ValueError(f"spans must be ascending, apart and inside {scan.times.num_frames} frames; got {asked}")
        end = span.end_frame


class _Cutter:
    """Hands the frames of a pass to one clip after the other."""

    def __init__(self, path: Path, scan: VideoScan, folder: Path, settings: ClipSettings, sound: SoundReader | None) -> None:
        self._path, self._scan, self._folder, self._settings, self._sound = path, scan, folder, settings, sound

    def cut(self, frames: FramePass, spans: Sequence[ClipSpan]) -> Iterator[WrittenClip]:
        waiting = deque(spans)
        clip: _OpenClip | None = None
        try:
            for number, frame in enumerate(frames):
                if clip is None and number == waiting[0].start_frame:
                    clip = _OpenClip(waiting.popleft(), frame, self._scan, self._folder, self._settings, self._sound)
                if clip is None:
                    continue
                with translated(self._path, DamagedMedia, f"clip {clip.span.stem} cannot be written"):
                    clip.add(frame, number)
                    done = clip.finish() if number + 1 == clip.span.end_frame else None
                if done is not None:
                    clip = None
                    yield done
                    if not waiting:
                        return
        finally:
            if clip is not None:
                clip.abandon()
        raise DamagedMedia(f"decodes differently the second time: {frames.num_frames} frames, {self._scan.times.num_frames} the first time")


class _OpenClip:
    """A clip being written."""

    def __init__(
        self, span: ClipSpan, first: av.VideoFrame, scan: VideoScan, folder: Path, settings: ClipSettings, sound: SoundReader | None
    ) -> None:
        self.span, self._times, self._folder = span, scan.times, folder
        self._start_pts = int(scan.times.pts[span.start_frame])
        self._end_pts = scan.times.end_of(span.end_frame - 1)
        self._picture = output_format(first, scan.orientation, scan.sample_aspect_ratio, settings.max_side_px)
        self._upright = Upright(self._picture, scan.orientation, scan.interlaced)
        self._saver = FrameSaver(settings.frame_side_px, settings.jpeg_quality)
        self._to_keep = frozenset(span.kept.frames)
        self._kept: list[KeptFrame] = []
        self._numbers: deque[int] = deque()
        self._file = ClipFile(folder / f"{span.stem}.mp4", self._picture, self._timing(), settings.encoder)
        self._has_audio = sound is not None and self._open_sound(sound)

    def add(self, frame: av.VideoFrame, number: int) -> None:
        self._numbers.append(number)
        self._write(self._upright.add(frame))

    def finish(self) -> WrittenClip:
        self._write(self._upright.finish())
        self._file.finish()
        last_pts = int(self._times.pts[self.span.end_frame - 1]) - self._start_pts
        verify(self._file.path, self.span.end_frame - self.span.start_frame, last_pts, self._times.time_base)
        picture: PictureFormat = self._picture
        return WrittenClip(self.span, self._file.path, picture.width_px, picture.height_px, self._has_audio, tuple(self._kept))

    def abandon(self) -> None:
        self._file.abandon()

    def _timing(self) -> ClipTiming:
        time_base = self._times.time_base
        shown = self._times.pts[self.span.start_frame : self.span.end_frame]
        steps = np.diff(shown, append=self._end_pts)
        steady = int(steps.max() - steps.min()) * time_base <= _STEADY_S
        return ClipTiming(time_base, len(shown) / ((self._end_pts - self._start_pts) * time_base), steady)

    def _open_sound(self, sound: SoundReader) -> bool:
        start, end = (round(pts * self._times.time_base * sound.rate_hz) for pts in (self._start_pts, self._end_pts))
        sound.start_at(start)
        if not sound.sounds_before(end):
            return False
        self._file.add_sound(sound, start, end)
        return True

    def _write(self, frames: list[av.VideoFrame]) -> None:
        for frame in frames:
            number = self._numbers.popleft()
            pts = int(self._times.pts[number])
            if number in self._to_keep:
                path = self._folder / f"{self.span.stem}.f{number:07d}.jpg"
                self._kept.append(self._saver.save(frame, self._picture.pixel_ratio, number, self._times.seconds(pts), path))
            self._file.add(frame, pts - self._start_pts, self._times.end_of(number) - pts)
