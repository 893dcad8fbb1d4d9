"""Copying packets, never decoding: picture and sound of two files into one, and single stretches of a video at their own times."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer

from internvid_pipeline.errors import DamagedMedia, UnreadableMedia
from internvid_pipeline.media.container import DEMUXERS, audio_stream, open_media, translated, video_stream
from internvid_pipeline.media.limits import MediaLimits

_IN_MP4 = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "aac", "mp3", "opus", "ac3", "eac3", "flac", "alac"})
_MOST_INTERLEAVED_S = 5.0  # sound may lie this far behind the picture in a file
_MARGIN_S = 0.5  # more than a frame: the last frame of a span ends where the next one begins


def join_streams(picture: Path, sound: Path, folder: Path, stem: str, limits: MediaLimits) -> Path:
    """The picture of one file and the sound of another in one container: mp4 where it carries both codecs, since it keeps their time
    bases, else Matroska. Raises UnreadableMedia, DamagedMedia."""
    with open_media(picture, limits) as first, open_media(sound, limits) as second:
        video, audio = video_stream(first), audio_stream(second)
        if video is None or audio is None:
            raise UnreadableMedia("the site's video file has no picture" if video is None else "the site's audio file has no sound")
        target = folder / f"{stem}.{_container_for(video, audio)}"
        with translated(picture, DamagedMedia, "its packets cannot be copied"), av.open(str(target), "w") as output:
            outputs = {0: output.add_stream_from_template(video), 1: output.add_stream_from_template(audio)}
            for index, packet in _interleaved([_packets(first, video), _packets(second, audio)]):
                packet.stream = outputs[index]
                output.mux(packet)
    return target


def _container_for(*streams: Any) -> str:
    return "mp4" if all(stream.codec_context.codec.canonical_name in _IN_MP4 for stream in streams) else "mkv"


def _packets(container: InputContainer, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        if packet.dts is not None and packet.size:
            yield packet


def _time(packet: Any) -> Fraction:
    return (packet.dts or 0) * Fraction(packet.time_base)


def _interleaved(sources: Sequence[Iterator[Any]]) -> Iterator[tuple[int, Any]]:
    """Packets of several streams by decoding time."""
    heads = [next(source, None) for source in sources]
    while waiting := [(_time(head), index, head) for index, head in enumerate(heads) if head is not None]:
        _, index, packet = min(waiting, key=lambda entry: entry[:2])
        yield index, packet
        heads[index] = next(sources[index], None)


def copy_spans(
    picture: BinaryIO, sound: BinaryIO | None, spans: Sequence[tuple[float, float | None]], folder: Path, stem: str, limits: MediaLimits
) -> tuple[Path, float]:
    """Copies the packets that the spans need into a file in which everything stands at its own time, with gaps between.

    picture, sound: readable, seekable; sound None: of the same file, if it has any. spans: seconds from the first frame, end None for the
    end. Each stretch begins at the key frame before it. Returns the file and the time of the whole video's first frame on its clock.
    Raises UnreadableMedia, DamagedMedia, and whatever reading raises.
    """
    containers = [_open_stream(picture, limits)]
    try:
        video = video_stream(containers[0])
        if video is None:
            raise UnreadableMedia("has no picture")
        if sound is not None:
            containers.append(_open_stream(sound, limits))
        audio = audio_stream(containers[-1])
        start_s = _first_time_s(containers[0], video)
        wanted = _merged([(start_s + begin, None if end is None else start_s + end) for begin, end in spans])
        streams = [(containers[0], video)] + ([(containers[-1], audio)] if audio is not None else [])
        target = folder / f"{stem}.{_container_for(*(stream for _, stream in streams))}"
        _copy(streams, wanted, target)
        return target, start_s
    finally:
        for container in containers:
            container.close()


def _open_stream(file: BinaryIO, limits: MediaLimits) -> InputContainer:
    options = {"format_whitelist": DEMUXERS, "max_pixels": str(limits.max_pixels), "protocol_whitelist": ""}
    with translated(Path("remote"), UnreadableMedia, "not readable as a video"):
        return av.open(file, "r", options=options, metadata_errors="replace")


def _first_time_s(container: InputContainer, video: av.VideoStream) -> float:
    """Presentation time of the first frame: the smallest of the first packets', for packets come in decoding order."""
    times = []
    for packet in container.demux(video):
        if packet.pts is not None and not packet.is_discard:
            times.append(packet.pts)
        if len(times) >= 17:  # decoders reorder over at most 16 frames
            break
    return float(min(times, default=0) * Fraction(video.time_base or 1))


def _merged(spans: Sequence[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """Sorted spans with their margins, overlapping ones made one; an open end is infinite."""
    merged: list[tuple[float, float]] = []
    for begin, end in sorted((begin - _MARGIN_S, float("inf") if end is None else end + _MARGIN_S) for begin, end in spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _copy(streams: Sequence[tuple[InputContainer, Any]], spans: Sequence[tuple[float, float]], target: Path) -> None:
    with av.open(str(target), "w") as output:
        outputs = {id(stream): output.add_stream_from_template(stream) for _, stream in streams}
        containers = {id(container): container for container, _ in streams}
        sources = [
            _stretches(container, [stream for owner, stream in streams if owner is container], spans) for container in containers.values()
        ]
        with translated(target, DamagedMedia, "its packets cannot be copied"):
            for _, packet in _interleaved(sources):
                packet.stream = outputs[id(packet.stream)]
                output.mux(packet)


def _stretches(container: InputContainer, streams: Sequence[Any], spans: Sequence[tuple[float, float]]) -> Iterator[Any]:
    """Packets of streams of one file, the picture (or the only one) first among them, from the key frame before each span to its end."""
    latest: dict[int, int] = {}
    for begin, end in spans:
        lead = streams[0]
        container.seek(max(int(Fraction(begin) / lead.time_base), lead.start_time or 0), stream=lead, backward=True)
        past: set[int] = set()
        for packet in container.demux(*streams):
            if packet.dts is None or not packet.size:
                continue
            if _time(packet) > end:
                past.add(packet.stream.index)
                if len(past) == len(streams) or _time(packet) > end + _MOST_INTERLEAVED_S:
                    break
            elif packet.dts > latest.get(packet.stream.index, packet.dts - 1):  # the key frame may lie in the stretch before
                latest[packet.stream.index] = packet.dts
                yield packet
