"""The sound of a short file as FLAC, as models of sound and speech take it."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.speech_audio import RATE_HZ, audio_tracks, read_sound


def flac_of(media: bytes, scratch: Path) -> bytes | None:
    """The default track at 16 kHz, one channel, 16 bits, from the first sample on; None where there is no sound. scratch: for a moment
    the file lies there. Raises UnreadableMedia, MediaLimitError."""
    limits = MediaLimits()
    path = scratch / "sound.mp4"
    path.write_bytes(media)
    try:
        track = next((track for track in audio_tracks(path, limits) if track.is_default), None)
        blocks = [] if track is None else [block.samples for block in read_sound(path, track.index, limits)]
    finally:
        path.unlink()
    if not blocks:
        return None
    samples = np.round(np.concatenate(blocks) * 32767).astype(np.int16)
    return _encoded(samples)


def _encoded(samples: Any) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="flac", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("flac", rate=RATE_HZ, layout="mono", options={"flags": "+bitexact"})
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return target.getvalue()
