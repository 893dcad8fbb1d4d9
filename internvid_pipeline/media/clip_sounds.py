"""The sound of each of the clips of one video."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer

from internvid_pipeline.media.audio import SoundReader
from internvid_pipeline.media.clip_file import ClipSound
from internvid_pipeline.media.clip_sound import CopiedSound, EncodedSound, PacketSource
from internvid_pipeline.media.container import audio_stream, open_media
from internvid_pipeline.media.cut_plan import CutPlan
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.sound_packets import SoundIndex
from internvid_pipeline.media.video_encoders import EncoderSettings
from internvid_pipeline.media.video_scan import VideoScan
from internvid_pipeline.media.whole_clip import ClipTimes


@dataclass(frozen=True)
class SoundOfClip:
    """The sound of one clip, where there is one."""

    sound: ClipSound | None
    kind: Literal["copy", "reencode"] | None
    reader: SoundReader | None = None
    lost_before: int = 0

    def num_lost(self) -> int:
        """Packets that could not be decoded since the clip began."""
        return self.reader.num_lost_packets - self.lost_before if self.reader else 0


class Sounds:
    """The sound of the clips of one video: copied where that is exact, else decoded and encoded."""

    def __init__(
        self, path: Path, encoder: EncoderSettings, limits: MediaLimits, index: SoundIndex | None, opened: contextlib.ExitStack
    ) -> None:
        self._path, self._encoder, self._limits, self._index, self._opened = path, encoder, limits, index, opened
        self._source: PacketSource | None = None
        self._reader: SoundReader | None = None
        self._has_sound = True

    def of(self, plan: CutPlan, scan: VideoScan, may_copy: bool) -> SoundOfClip:
        """For the frames of a plan."""
        times, encoder = scan.times, self._encoder
        clip = ClipTimes(times, plan.start_frame, plan.end_frame)
        start_s, end_s = (pts * times.time_base for pts in (clip.start_pts, clip.end_pts))
        index = self._index
        if may_copy and index is not None and encoder.audio_rate_hz in (None, index.rate_hz):
            start, end = round(start_s * index.rate_hz), round(end_s * index.rate_hz)
            if not index.sounds(start, end):
                return SoundOfClip(None, None)
            packets = index.span(start, end)
            if packets is not None:
                source = self._open_source()
                return SoundOfClip(CopiedSound(source, index, packets, start, end), "copy")
        reader = self._open_reader() if self._has_sound else None
        if reader is None:
            self._has_sound = False
            return SoundOfClip(None, None)
        start, end = round(start_s * reader.rate_hz), round(end_s * reader.rate_hz)
        reader.start_at(start)
        lost = reader.num_lost_packets
        if not reader.sounds_before(end):
            return SoundOfClip(None, None)
        return SoundOfClip(EncodedSound(reader, start, end, encoder.audio_bit_rate), "reencode", reader, lost)

    def _open_source(self) -> PacketSource:
        if self._source is None:
            container, stream = self._open()
            assert stream is not None
            self._source = PacketSource(self._path, container, stream)
        return self._source

    def _open_reader(self) -> SoundReader | None:
        if self._reader is None:
            container, stream = self._open()
            if stream is not None:
                self._reader = SoundReader(self._path, container, stream, self._encoder.audio_rate_hz)
        return self._reader

    def _open(self) -> "tuple[InputContainer, av.AudioStream | None]":
        container = self._opened.enter_context(open_media(self._path, self._limits))
        return container, audio_stream(container)
