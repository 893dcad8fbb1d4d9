"""Spans of a video as clips: copied where that is exact, their edges or the whole of them encoded again where it is not."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer

from internvid_pipeline.errors import DamagedMedia, UnreadableMedia
from internvid_pipeline.media.clip_plan import ClipPlanner, ClipSettings, ClipSpan
from internvid_pipeline.media.clip_sound import PacketSource
from internvid_pipeline.media.clip_sounds import Sounds
from internvid_pipeline.media.container import open_media, translated, video_stream
from internvid_pipeline.media.copied_clip import CopiedClip
from internvid_pipeline.media.cut_plan import CutMode, CutPlan
from internvid_pipeline.media.edge_encoder import EdgeEncoder
from internvid_pipeline.media.frames import FrameSaver, KeptFrame
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.packets import PacketIndex
from internvid_pipeline.media.video_scan import VideoScan
from internvid_pipeline.media.wanted_frames import wanted_frames
from internvid_pipeline.media.whole_clip import ClipTimes, WholeClip


@dataclass(frozen=True)
class WrittenClip:
    """A clip that was written and verified. plan: how, and which frames it holds. num_frames: in the file; others than the plan's where
    another frame rate was asked for. width_px, height_px: of its picture, upright. audio: `copy`, `reencode` or None for no sound.
    num_lost_audio_packets: those of the source that could not be decoded."""

    span: ClipSpan
    plan: CutPlan
    path: Path
    num_frames: int
    width_px: int
    height_px: int
    audio: Literal["copy", "reencode"] | None
    num_lost_audio_packets: int
    frames: tuple[KeptFrame, ...]

    @property
    def has_audio(self) -> bool:
        """The file has an audio stream."""
        return self.audio is not None


def write_clips(
    path: Path,
    scan: VideoScan,
    spans: Sequence[ClipSpan],
    folder: Path,
    settings: ClipSettings,
    limits: MediaLimits | None = None,
    planner: ClipPlanner | None = None,
) -> Iterator[WrittenClip]:
    """Writes the spans, which must be ascending and apart, into `folder`; each is yielded when it is complete and verified. In the mode
    `copy` spans that cannot be copied are left out, and others may come out shorter (see their plan). planner: where one was made
    already for this file, scan and settings.

    Raises DamagedMedia where the file reads differently from its scan or a clip comes out wrong; OSError for a full disk.
    """
    limits = limits or MediaLimits()
    _check_spans(spans, scan)
    if not spans:
        return
    planner = planner or ClipPlanner(path, scan, settings, limits)
    planned = [(span, plan) for span in spans if (plan := planner.plan(span.start_frame, span.end_frame)) is not None]
    with contextlib.ExitStack() as opened:
        cutter = _Cutter(path, scan, folder, settings, limits, planner.index, opened)
        yield from cutter.cut(planned)


def _check_spans(spans: Sequence[ClipSpan], scan: VideoScan) -> None:
    end = 0
    for span in spans:
        if not end <= span.start_frame < span.end_frame <= scan.times.num_frames:
            asked = [(span.start_frame, span.end_frame) for span in spans]
            raise ValueError(f"spans must be ascending, apart and inside {scan.times.num_frames} frames; got {asked}")
        end = span.end_frame


class _Cutter:
    """Writes one clip after the other. Frames to decode, packets to copy and sound are each read forward, once, through a container of
    their own, opened when it is needed (ffmpeg's index of two hours holds 10 MB): nothing is sought, and what waits in memory is one
    clip's index."""

    def __init__(
        self,
        path: Path,
        scan: VideoScan,
        folder: Path,
        settings: ClipSettings,
        limits: MediaLimits,
        index: PacketIndex | None,
        opened: contextlib.ExitStack,
    ) -> None:
        self._path, self._scan, self._folder, self._settings, self._limits, self._index = path, scan, folder, settings, limits, index
        self._opened = opened
        self._sounds = Sounds(path, settings.encoder, limits, None if index is None else index.sound, opened)
        self._saver = FrameSaver(settings.frame_side_px, settings.frame_quality, scan.orientation)
        self._frames: Iterator[tuple[int, av.VideoFrame]] = iter(())

    @cached_property
    def _decoding(self) -> "tuple[InputContainer, av.VideoStream]":
        return self._open()

    @cached_property
    def _copying(self) -> "tuple[InputContainer, av.VideoStream]":
        return self._open()

    @cached_property
    def _source(self) -> PacketSource:
        return PacketSource(self._path, *self._copying)

    def _open(self) -> "tuple[InputContainer, av.VideoStream]":
        container = self._opened.enter_context(open_media(self._path, self._limits))
        stream = video_stream(container)
        if stream is None:
            raise UnreadableMedia("has no video stream")
        return container, stream

    def cut(self, planned: "Sequence[tuple[ClipSpan, CutPlan]]") -> Iterator[WrittenClip]:
        ranges = _merged(piece for span, plan in planned for piece in (*plan.reencoded, *_single(span, plan)))
        if ranges:
            self._frames = wanted_frames(self._path, *self._decoding, self._limits, self._index, self._scan.times, ranges)
        for span, plan in planned:
            with translated(self._path, DamagedMedia, f"clip {span.stem} cannot be written"):
                written = self._whole(span, plan) if plan.mode is CutMode.REENCODE else self._copied(span, plan)
            yield written

    def _whole(self, span: ClipSpan, plan: CutPlan) -> WrittenClip:
        scan, settings = self._scan, self._settings
        fps = None if settings.fps is None else Fraction(settings.fps).limit_denominator(1001)
        times = ClipTimes(scan.times, plan.start_frame, plan.end_frame, fps)
        sound = self._sounds.of(plan, scan, may_copy=settings.mode != "reencode")
        kept: list[KeptFrame] = []
        clip: WholeClip | None = None
        try:
            for number, frame in self._frames_of(span, plan.start_frame, plan.end_frame, kept):
                if clip is None:
                    picture = (scan.orientation, scan.sample_aspect_ratio, scan.interlaced)
                    path = self._folder / f"{span.stem}.mp4"
                    clip = WholeClip(path, frame, times, picture, settings.max_side_px, settings.encoder, sound.sound)
                clip.add(frame, number)
            assert clip is not None  # spans are not empty
            clip.finish()
        except BaseException:
            if clip is not None:
                clip.file.abandon()
            raise
        size = clip.picture.width_px, clip.picture.height_px
        return WrittenClip(span, plan, clip.file.path, times.num_frames, *size, sound.kind, sound.num_lost(), tuple(kept))

    def _copied(self, span: ClipSpan, plan: CutPlan) -> WrittenClip:
        assert self._index is not None
        kept: list[KeptFrame] = []
        edges = self._edges if plan.mode is CutMode.SMART else None
        sound = self._sounds.of(plan, self._scan, may_copy=True)
        path = self._folder / f"{span.stem}.mp4"
        clip = CopiedClip(path, plan, self._scan.times, self._index, self._source, edges, sound.sound)
        try:
            clip.write_edge(self._frames_of(span, plan.start_frame, plan.copied_start, kept))
            clip.copy()
            self._keep_copied(span, plan, kept)
            clip.write_edge(self._frames_of(span, plan.copied_end, plan.end_frame, kept))
            clip.finish()
        except BaseException:
            clip.file.abandon()
            raise
        num_frames = plan.end_frame - plan.start_frame
        return WrittenClip(span, plan, path, num_frames, *self._upright_size(), sound.kind, sound.num_lost(), tuple(kept))

    @cached_property
    def _edges(self) -> EdgeEncoder:
        assert self._index is not None and self._index.parameters is not None
        times = self._scan.times
        fps = ClipTimes(times, 0, times.num_frames).mean_fps.limit_denominator(1 << 16)
        return EdgeEncoder(self._decoding[1].codec_context, self._index.parameters, times.time_base, fps, self._settings.encoder)

    def _keep_copied(self, span: ClipSpan, plan: CutPlan, kept: list[KeptFrame]) -> None:
        """Saves the frames to keep among those that are copied, which nothing else decodes."""
        for start, end in _single(span, plan):
            for _ in self._frames_of(span, start, end, kept):
                pass

    def _frames_of(self, span: ClipSpan, start: int, end: int, kept: list[KeptFrame]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames [start, end), each of them; those to keep are saved on the way."""
        scan = self._scan
        wanted = frozenset(span.kept.frames if span.kept else ())
        for expected in range(start, end):
            number, frame = next(self._frames, (None, None))
            if number != expected or frame is None:
                raise DamagedMedia(f"decodes differently the second time: frame {expected} of {scan.times.num_frames} is missing")
            if expected in wanted:
                path = self._folder / f"{span.stem}.f{expected:07d}{self._settings.frame_suffix}"
                time_s = scan.times.seconds(int(scan.times.pts[expected]))
                kept.append(self._saver.save(frame, scan.sample_aspect_ratio, expected, time_s, path))
            yield expected, frame

    def _upright_size(self) -> tuple[int, int]:
        context = self._copying[1].codec_context
        return (context.height, context.width) if self._scan.orientation.swaps_sides else (context.width, context.height)


def _single(span: ClipSpan, plan: CutPlan) -> Iterator[tuple[int, int]]:
    """The frames to keep among those that are copied."""
    for frame in span.kept.frames if span.kept else ():
        if plan.copied_start <= frame < plan.copied_end:
            yield frame, frame + 1


def _merged(pieces: "Iterator[tuple[int, int]]") -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(pieces):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
