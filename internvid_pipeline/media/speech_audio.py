"""The sound of a video as speech recognisers take it: 16 kHz, one channel, read forward in bounded memory, whatever the codec."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from internvid_pipeline.media.audio import SoundReader
from internvid_pipeline.media.container import audio_stream, open_media
from internvid_pipeline.media.limits import MediaLimits

RATE_HZ = 16_000
_BLOCK_S = 10.0  # a block's samples take 0.6 MB

MonoSamples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An audio stream. index: among all streams of the file. language: the container's code, empty where it has none. title: what the
    container calls it (`Commentary`). is_default: the one that players choose."""

    index: int
    language: str
    title: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class SoundBlock:
    """start: number of the first sample on the container's clock (seconds x 16,000). samples: float32 (n,), -1 to 1."""

    start: int
    samples: MonoSamples


def audio_tracks(path: Path, limits: MediaLimits) -> list[AudioTrack]:
    """The audio streams that we can decode, in the file's order. Raises UnreadableMedia, MediaLimitError."""
    with closing(open_media(path, limits)) as container:
        chosen = audio_stream(container)
        return [
            AudioTrack(stream.index, str(stream.metadata.get("language", "")), str(stream.metadata.get("title", "")), stream is chosen)
            for stream in _decodable(container)
        ]


def _decodable(container: InputContainer) -> list[Any]:
    usable = [stream for stream in container.streams.audio if stream.codec_context is not None and stream.time_base]
    heard = [stream for stream in usable if not stream.disposition & Disposition.visual_impaired]  # a describer's voice, not the video's
    return heard or usable


def choose_tracks(tracks: Sequence[AudioTrack], wanted: Sequence[str]) -> list[AudioTrack]:
    """Tracks by the names in `wanted`: `default`, `all`, or languages as the containers write them in short form (`en`). A language that
    no track has gives none."""
    from internvid_pipeline.text.languages import bcp47, same_language

    chosen = []
    for track in tracks:
        spoken = bcp47(track.language)
        if any(name == "all" or (name == "default" and track.is_default) or same_language(spoken, bcp47(name)) for name in wanted):
            chosen.append(track)
    return chosen


def read_sound(path: Path, index: int, limits: MediaLimits, block_s: float = _BLOCK_S) -> Iterator[SoundBlock]:
    """The samples of one stream, gapless from its first to its last one (gaps in the file are silence); stretches of `block_s` without a
    sample are passed over. Channels are averaged. What cannot be decoded is silence; a file that breaks off ends there. No more than
    `limits.max_duration_s` is read. Raises UnreadableMedia, MediaLimitError."""
    with closing(open_media(path, limits)) as container:
        stream = next(stream for stream in container.streams.audio if stream.index == index)
        stream.codec_context.thread_count = 1
        reader = SoundReader(path, container, stream, RATE_HZ)
        position = max(0, math.floor(float((stream.start_time or 0) * (stream.time_base or 0)) * RATE_HZ))
        last = position + round(limits.max_duration_s * RATE_HZ)
        size = round(block_s * RATE_HZ)
        reader.start_at(position)
        while position < last:
            if not reader.sounds_before(position + size):
                if reader.has_ended:
                    return
                position += size  # a jump of the time stamps
                reader.start_at(position)
                continue
            samples = reader.read(position + size)
            mono = samples[0] if samples.shape[0] == 1 else samples.mean(axis=0, dtype=np.float32)
            yield SoundBlock(position, np.clip(mono, -1.0, 1.0))
            position += mono.shape[0]
            if mono.shape[0] < size:
                return
