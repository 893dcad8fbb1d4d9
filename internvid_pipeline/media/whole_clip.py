"""A clip of which every frame is encoded again: upright, progressive, of the size and frame rate asked for."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType

from internvid_pipeline.media.clip_file import ClipFile, ClipSound, verify
from internvid_pipeline.media.orientation import Orientation
from internvid_pipeline.media.thread_priority import open_encoder
from internvid_pipeline.media.times import FrameTimes
from internvid_pipeline.media.upright import PictureFormat, Upright, output_format
from internvid_pipeline.media.video_encoders import EncoderSettings, HdrLevels, hdr_levels, video_encoder

_STEADY_S = Fraction(1, 1000)  # millisecond containers round 33.4 ms to 33 and 34


@dataclass(frozen=True)
class ClipTimes:
    """Which frames of the source a clip shows, and when. start_frame, end_frame: [start, end). fps: None: as the source's own times say,
    else one picture every 1/fps seconds: the one on screen at that time."""

    source: FrameTimes
    start_frame: int
    end_frame: int
    fps: Fraction | None = None

    @property
    def start_pts(self) -> int:
        """In the source's time base."""
        return int(self.source.pts[self.start_frame])

    @property
    def end_pts(self) -> int:
        """In the source's time base."""
        return self.source.end_of(self.end_frame - 1)

    @property
    def time_base(self) -> Fraction:
        """Of the clip."""
        return self.source.time_base if self.fps is None else 1 / self.fps

    @property
    def num_frames(self) -> int:
        """Of the clip."""
        return self.end_frame - self.start_frame if self.fps is None else self._tick(self.end_pts)

    @property
    def mean_fps(self) -> Fraction:
        """Frames per second."""
        return self.fps or self.num_frames / ((self.end_pts - self.start_pts) * self.source.time_base)

    @property
    def is_steady(self) -> bool:
        """All frames last equally long, within a millisecond."""
        steps = np.diff(self.source.pts[self.start_frame : self.end_frame], append=self.end_pts)
        return self.fps is not None or int(steps.max() - steps.min()) * self.source.time_base <= _STEADY_S

    def shown_at(self, frame: int) -> list[tuple[int, int]]:
        """(pts, duration) in the clip's time base for each time that frame `frame` is shown."""
        pts, end = int(self.source.pts[frame]), self.source.end_of(frame)
        if self.fps is None:
            return [(pts - self.start_pts, end - pts)]
        return [(tick, 1) for tick in range(self._tick(pts), self._tick(end))]

    def _tick(self, pts: int) -> int:
        """The first tick at or after `pts`."""
        assert self.fps is not None
        return math.ceil((pts - self.start_pts) * self.source.time_base * self.fps)


class WholeClip:
    """Frames in, in order; then `finish`, or at any time `file.abandon`."""

    def __init__(
        self,
        path: Path,
        first: av.VideoFrame,
        times: ClipTimes,
        picture: "tuple[Orientation, Fraction, bool]",
        max_side_px: int | None,
        settings: EncoderSettings,
        sound: ClipSound | None,
    ) -> None:
        """first: frame of the clip. picture: orientation, shape of pixels, and whether to deinterlace."""
        orientation, pixel_ratio, interlaced = picture
        self.picture = output_format(first, orientation, pixel_ratio, max_side_px)
        self._times = times
        self._upright = Upright(self.picture, orientation, interlaced)
        self._numbers: deque[int] = deque()
        self._durations: dict[int, int] = {}
        self.file = ClipFile(path, times.time_base, sound)
        try:
            self._stream = _open_encoder(self.file, self.picture, times, settings, hdr_levels(first))
            self.file.open_sound()
        except BaseException:
            self.file.abandon()
            raise

    def add(self, frame: av.VideoFrame, number: int) -> None:
        """number: of the frame in the source."""
        self._numbers.append(number)
        self._write(self._upright.add(frame))

    def finish(self) -> None:
        """Raises DamagedMedia where the clip came out wrong."""
        self._write(self._upright.finish())
        self.file.mux(self._packets(None), None)
        self.file.finish()
        times = self._times
        last = [shown for number in range(times.start_frame, times.end_frame) for shown in times.shown_at(number)[-1:]][-1]
        verify(self.file.path, times.num_frames, last[0], sum(last), times.time_base)

    def _write(self, frames: Sequence[av.VideoFrame]) -> None:
        for frame in frames:
            number = self._numbers.popleft()
            for pts, duration in self._times.shown_at(number):
                frame.pts, frame.time_base, frame.duration = pts, self._times.time_base, duration
                frame.pict_type = PictureType.NONE  # the source's key frames are not ours
                self._durations[pts] = duration
                self.file.mux(self._packets(frame), pts + duration)

    def _packets(self, frame: av.VideoFrame | None) -> "list[av.Packet[Any]]":
        packets = self._stream.encode(frame)
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts or 0)  # encoders guess it from the mean rate
        return packets


def _open_encoder(file: ClipFile, picture: PictureFormat, times: ClipTimes, settings: EncoderSettings, hdr: HdrLevels) -> av.VideoStream:
    encoder = video_encoder(settings, times.is_steady, picture.bits, hdr)
    stream = file.container.add_stream(encoder.name, rate=times.mean_fps.limit_denominator(1 << 16), options=dict(encoder.options))
    assert isinstance(stream, av.VideoStream)
    context = stream.codec_context
    if encoder.tag:
        context.codec_tag = encoder.tag
    context.width, context.height, context.pix_fmt = picture.width_px, picture.height_px, picture.pixel_format
    context.time_base, context.sample_aspect_ratio = times.time_base, picture.pixel_ratio
    context.colorspace, context.color_primaries = picture.colorspace, picture.color_primaries
    context.color_trc, context.color_range = picture.color_trc, picture.color_range
    context.thread_count = 1  # x264's slices and rate control depend on the number of threads
    context.flags |= Flags.bitexact
    open_encoder(context)
    return stream
