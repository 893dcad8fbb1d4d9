"""Files that end before they should. Demuxers mostly report a plain end of file, and the last clip would silently be short."""

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from internvid_pipeline.errors import DamagedMedia
from internvid_pipeline.media.container import open_media, translated
from internvid_pipeline.media.declared_end import overrun
from internvid_pipeline.media.limits import MediaLimits

_LAST_ENTRIES = 256  # streams are interleaved within a second or so: the last packets of the file are among these
# Containers that write their length in seconds into the header. Others estimate it from the bit rate, or from what is there.
_STATED_LENGTH = ("matroska", "flv")
_SLACK_S = 1.0


def missing_end(path: Path, container: InputContainer, stream: av.VideoStream, video_end_s: float, limits: MediaLimits) -> str | None:
    """Why the file is known to be cut short, None where it is not. video_end_s: when the last decoded frame stops being shown.

    Three kinds of evidence: the index points behind the end; the outermost structure does (`declared_end`); the header states a length
    in seconds that no stream reaches."""
    size_bytes = path.stat().st_size
    entries = stream.index_entries
    needed = max((entry.pos + entry.size for entry in entries[max(0, len(entries) - _LAST_ENTRIES) :]), default=0)
    if needed > size_bytes:
        return f"cut short: {size_bytes} bytes are there, its index goes to {needed}"
    words = overrun(path, container.format.name)
    if words is not None:
        return f"cut short: {words}"
    if not container.format.name.startswith(_STATED_LENGTH) or container.duration is None:
        return None
    stated_end_s = (container.duration + (container.start_time or 0)) / 1e6
    if stated_end_s - video_end_s <= _SLACK_S:
        return None
    end_s = max(video_end_s, _last_packet_s(path, limits))
    return f"cut short: it ends at {end_s:.1f} s, its header says {stated_end_s:.1f} s" if stated_end_s - end_s > _SLACK_S else None


def _last_packet_s(path: Path, limits: MediaLimits) -> float:
    """When the last packet of any stream ends: sound or subtitles may outlast the picture."""
    last = Fraction(0)
    with open_media(path, limits) as container:
        try:
            with translated(path, DamagedMedia, "cannot be read on"):
                for packet in container.demux():
                    if packet.pts is not None and packet.time_base:
                        last = max(last, (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base))
        except DamagedMedia:  # the end that was looked for
            return float(last)
    return float(last)
