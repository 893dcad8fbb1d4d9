"""One decode of a whole video: scores for shot detectors, brightness, motion, damage, the exact time of every frame, and the frames that
models will look at."""

import copy
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from internvid_pipeline.errors import UnreadableMedia
from internvid_pipeline.media.container import open_media, video_stream
from internvid_pipeline.media.decode import FramePass
from internvid_pipeline.media.detectors import Boundary, FrameScorer, boundaries
from internvid_pipeline.media.fast_scan import DoubtfulTimes, FastPass, FastPlan, fast_plan
from internvid_pipeline.media.fast_scan_refine import refine
from internvid_pipeline.media.frame_keeper import FrameKeeper, FrameKeeping, missing_frames
from internvid_pipeline.media.frame_seek import frames_at
from internvid_pipeline.media.frames import KeptFrame
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.orientation import Orientation, orientation_of
from internvid_pipeline.media.probe import pixel_ratio
from internvid_pipeline.media.small import LUMA_CHANGE, LUMA_MEAN, LumaMeter, SmallPicture, SmallPictures
from internvid_pipeline.media.times import FrameTimes
from internvid_pipeline.media.truncation import missing_end
from internvid_pipeline.media.video_scan import Shot, VideoScan

__all__ = ["FrameKeeping", "Shot", "VideoScan", "scan_video"]


def scan_video(
    path: Path,
    scorers: Sequence[FrameScorer],
    limits: MediaLimits | None = None,
    fast: bool = False,
    frames: FrameKeeping | None = None,
) -> VideoScan:
    """Decodes the file once, in memory that grows by some 40 bytes a frame.

    scorers: fresh ones; the first one's boundaries place the frames that are kept, unless `frames.spans` does. frames: which frames to
    keep, None for none. Raises
    UnreadableMedia, MediaLimitError, DamagedMedia; OSError for a full disk. Files of kept frames are gone where it raises.
    """
    limits = limits or MediaLimits()
    plan = fast_plan(path, limits) if fast else None
    if plan is not None:
        fresh = copy.deepcopy(list(scorers))
        try:
            return _scanned(path, scorers, limits, frames, plan)
        except DoubtfulTimes:
            scorers = fresh
    return _scanned(path, scorers, limits, frames, None)


def _scanned(
    path: Path, scorers: Sequence[FrameScorer], limits: MediaLimits, keeping: FrameKeeping | None, plan: FastPlan | None
) -> VideoScan:
    container = open_media(path, limits)
    try:
        stream = video_stream(container)
        if stream is None:
            raise UnreadableMedia("has no video stream")
        return _Scan(path, container, stream, scorers, limits, keeping).run(plan)
    finally:
        container.close()


class _Scan:
    """The pass over one file."""

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: av.VideoStream,
        scorers: Sequence[FrameScorer],
        limits: MediaLimits,
        keeping: FrameKeeping | None,
    ) -> None:
        self._path, self._container, self._stream, self._limits, self._keeping = path, container, stream, limits, keeping
        self._scorers = scorers
        self._small = SmallPictures(any(scorer.needs_bgr for scorer in scorers))
        self._luma = LumaMeter()
        self._keeper: FrameKeeper | None = None
        self._orientation = Orientation()
        self._interlaced = False

    def run(self, plan: FastPlan | None) -> VideoScan:
        path, container, stream, limits = self._path, self._container, self._stream, self._limits
        try:
            if plan is None:
                frames = FramePass(path, container, stream, limits, smoothed=False)
                self._decode(frames)
                return self._result(frames, None)
            fast = FastPass(path, container, stream, limits, plan)
            self._decode(fast)
            return self._result(fast, fast.decoded)
        except BaseException:
            if self._keeper is not None:
                self._keeper.abandon()
            raise

    def _decode(self, frames: FramePass) -> None:
        """Every frame to all who look; one that was not decoded as the picture before it."""
        make, measure = self._small.make, self._luma.add
        process = [scorer.process for scorer in self._scorers]
        keeper = None
        picture: SmallPicture | None = None
        next_number = 0
        for number, frame in frames.numbered():
            if number == 0:
                keeper = self._begin(frame)
            if number > next_number:
                self._repeat(picture, next_number, number)
            next_number = number + 1
            picture = make(frame)
            change = measure(picture)
            for look in process:
                look(number, picture)
            if keeper is not None:
                keeper.add(number, frame, picture, change)
            if frame.interlaced_frame:
                self._interlaced = True
        self._repeat(picture, next_number, frames.num_frames)

    def _repeat(self, picture: SmallPicture | None, start: int, end: int) -> None:
        assert picture is not None  # the first frame is always decoded
        for number in range(start, end):
            self._luma.repeat()
            for scorer in self._scorers:
                scorer.process(number, picture)

    def _begin(self, first: av.VideoFrame) -> FrameKeeper | None:
        self._orientation = orientation_of(first)
        if self._keeping is not None:
            time_base = Fraction(self._stream.time_base or 1)
            self._keeper = FrameKeeper(self._keeping, self._orientation, pixel_ratio(self._stream), time_base)
        return self._keeper

    def _result(self, frames: FramePass, decoded: Sequence[int] | None) -> VideoScan:
        times = frames.times()
        columns = [self._luma.arrays()]
        columns += [dict(scorer.finish()) for scorer in self._scorers]
        values = {name: array for part in columns for name, array in part.items()}
        fast = decoded is not None and len(decoded) < times.num_frames
        if fast and decoded is not None:
            found = provisional_boundaries(self._scorers, values, times)
            refine(self._path, times, [boundary.frame for boundary in found if boundary.kind == "cut"], decoded, values, self._limits)
        luma_mean, luma_change = values.pop(LUMA_MEAN), values.pop(LUMA_CHANGE)
        broken_off = frames.broken_off or missing_end(self._path, self._container, self._stream, times.seconds(times.end_pts), self._limits)
        return VideoScan(
            times=times,
            scores=values,
            luma_mean=luma_mean,
            luma_change=luma_change,
            damaged=frames.damaged_frames(times, broken_off is not None),
            interlaced=self._interlaced,
            orientation=self._orientation,
            sample_aspect_ratio=pixel_ratio(self._stream),
            broken_off=broken_off,
            detectors=tuple(scorer.name for scorer in self._scorers),
            fast=fast,
            kept=self._kept(times, provisional_boundaries(self._scorers, values, times)),
        )

    def _kept(self, times: FrameTimes, found: Sequence[Boundary]) -> tuple[KeptFrame, ...]:
        if self._keeper is None or self._keeping is None:
            return ()
        if self._keeping.spans is not None:
            spans = self._keeping.spans(times)
        else:
            spans = list(pairwise((0, *(boundary.frame for boundary in found), times.num_frames)))
        kept = self._keeper.finish(times, spans)
        missing = missing_frames(times, spans, kept, self._keeping)
        for number, frame in frames_at(self._path, times, missing, self._limits):
            kept.append(self._keeper.keep(number, frame, times))
        return tuple(sorted(kept, key=lambda frame: frame.frame))


def provisional_boundaries(
    scorers: Sequence[FrameScorer], scores: Mapping[str, NDArray[np.float32]], times: FrameTimes
) -> tuple[Boundary, ...]:
    """Of the first detector, with its own thresholds."""
    if not scorers or not scorers[0].columns:
        return ()
    return boundaries(scorers[0].name, scores, times)
