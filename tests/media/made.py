"""Videos made on the spot whose truth is known: every picture carries its number in a bar code, so that a frame can be told apart from
its neighbours after any lossy codec, turn or change of size."""

import colorsys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.thread_priority import open_encoder

BITS = 10
_HUES = (0.02, 0.55, 0.3, 0.8, 0.12, 0.65)

Picture = NDArray[np.uint8]


def numbered(number: int, width: int = 320, height: int = 180, shot: int = 0) -> Picture:
    """uint8 [height, width, 3], RGB. The upper left carries `number` as ten squares, black 0 and white 1, the lowest bit first, framed in
    grey; the colour is the shot's. Neighbouring numbers differ too little for a shot detector, neighbouring shots much more."""
    colour = [round(255 * part) for part in colorsys.hsv_to_rgb(_HUES[shot % len(_HUES)], 0.8, (0.75, 0.4)[shot % 2])]
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:] = colour
    side = _square(width, height)
    for bit in range(BITS):
        picture[:side, bit * side : (bit + 1) * side] = 235 if number >> bit & 1 else 20
    return picture


def number_of(picture: NDArray[np.uint8]) -> int:
    """The number in a picture [height, width, 3] or [height, width], upright, of any size with the same proportions."""
    luma = picture if picture.ndim == 2 else picture.mean(axis=2)
    side = _square(luma.shape[1], luma.shape[0])
    quarter = max(1, side // 4)
    values = [luma[quarter : side - quarter, bit * side + quarter : (bit + 1) * side - quarter].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, value in enumerate(values) if value > 128)


def _square(width: int, height: int) -> int:
    return max(2, min(width // (BITS + 1), height // 4))


def shots_of(lengths: Sequence[int], width: int = 320, height: int = 180) -> list[Picture]:
    """Pictures numbered through, in shots of these lengths."""
    pictures = []
    for shot, length in enumerate(lengths):
        pictures += [numbered(len(pictures) + k, width, height, shot) for k in range(length)]
    return pictures


def noisy(picture: Picture, seed: int = 0) -> Picture:
    """With grain, as film has it: every packet then carries data, and spoiling one shows."""
    grain = np.random.default_rng([seed, int(picture.sum())]).integers(-25, 25, picture.shape)
    return np.clip(picture.astype(int) + grain, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Track:
    """Sound: float32 [channels, n] from `start_s` on."""

    samples: NDArray[np.float32]
    rate: int = 48000
    start_s: float = 0.0
    codec: str = "aac"
    layout: str = ""
    language: str = ""


@dataclass(frozen=True)
class Made:
    """How a file is made. pts: of each picture in `time_base`; without it, one tick of 1/fps each. end_pts: of the last picture."""

    fps: int = 25
    time_base: Fraction | None = None
    pts: Sequence[int] | None = None
    end_pts: int | None = None
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    tracks: Sequence[Track] = ()
    rotation: int | None = None
    sar: Fraction | None = None
    colours: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    gop: int = 50
    format: str | None = None


def write_video(path: Path, pictures: Iterable[Picture], made: Made | None = None) -> Path:
    """Encodes the pictures and tracks into `path`, whose suffix chooses the container."""
    made = made or Made()
    pictures = list(pictures)
    time_base = made.time_base or Fraction(1, made.fps)
    pts = list(made.pts) if made.pts is not None else list(range(len(pictures)))
    last_step = pts[-1] - pts[-2] if len(pts) > 1 else 1
    edges = [*pts, made.end_pts or pts[-1] + last_step]
    durations = {before: after - before for before, after in pairwise(edges)}
    with av.open(str(path), "w", format=made.format, container_options=made.container_options) as container:
        container.metadata.update(made.metadata)
        stream = container.add_stream(made.codec, rate=made.fps, options=made.options)
        height, width = pictures[0].shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, made.pix_fmt
        context = stream.codec_context
        context.time_base, context.gop_size, context.thread_count = time_base, made.gop, 1
        if made.sar:
            context.sample_aspect_ratio = made.sar
        for name, value in made.colours.items():
            setattr(context, name, value)
        if made.rotation is not None:
            stream.set_display_rotation(made.rotation)
        open_encoder(context)
        sounds = []
        for track in made.tracks:
            layout = track.layout or ("mono" if len(track.samples) == 1 else "stereo")
            sound = container.add_stream(track.codec, rate=track.rate, layout=layout)
            if track.language:
                sound.metadata["language"] = track.language
            sounds.append((sound, track))
        packets = []
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format=made.pix_fmt, threads=1, dst_color_range=made.colours.get("color_range"))
            frame.pts, frame.time_base = pts[number], time_base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets:
            if packet.pts in durations:
                packet.duration = durations[packet.pts]
            packet.stream = stream
        _mux_in_time(container, [packets, *(_sound_packets(sound, track) for sound, track in sounds)])
    return path


def _mux_in_time(container: av.container.OutputContainer, streams: list[list[av.Packet]]) -> None:
    """Interleaved by decoding time; the order within a stream is the encoder's."""
    timed = []
    for packets in streams:
        latest = -1e9
        for packet in packets:
            latest = max(latest, float((packet.dts if packet.dts is not None else 0) * packet.time_base))
            timed.append((latest, packet))
    for _, packet in sorted(timed, key=lambda pair: pair[0]):
        container.mux(packet)


def _sound_packets(stream: av.AudioStream, track: Track) -> list[av.Packet]:
    packets = []
    start = round(track.start_s * track.rate)
    for position in range(0, track.samples.shape[1], 1024):
        chunk = np.ascontiguousarray(track.samples[:, position : position + 1024], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.time_base, frame.pts = track.rate, Fraction(1, track.rate), start + position
        packets += stream.encode(frame)
    packets += stream.encode(None)
    for packet in packets:
        packet.stream = stream
    return packets


def beeps(times_s: Sequence[float], length_s: float, rate: int = 48000, channels: int = 1, beep_s: float = 0.04) -> NDArray[np.float32]:
    """Silence with bursts of 2 kHz that begin at these times: float32 [channels, n]."""
    samples = np.zeros((channels, round(length_s * rate)), dtype=np.float32)
    for start_s in times_s:
        start = round(start_s * rate)
        stop = min(start + round(beep_s * rate), samples.shape[1])
        samples[:, start:stop] = 0.8 * np.sin(2 * np.pi * 2000 * np.arange(stop - start) / rate)
    return samples


def frames_of(path: Path) -> list[av.VideoFrame]:
    """All frames, in display order."""
    with av.open(str(path)) as container:
        return list(container.decode(container.streams.video[0]))


def numbers_in(path: Path) -> list[int]:
    """The numbers that the pictures of a file show."""
    return [number_of(frame.to_ndarray(format="rgb24")) for frame in frames_of(path)]


def samples_of(path: Path) -> tuple[NDArray[np.float32], int]:
    """The first audio stream as a player hears it: float32 [channels, n] from time 0 of the file on, and its rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        rate = stream.rate
    first = round(frames[0].pts * frames[0].time_base * rate)
    heard = np.concatenate([np.asarray(frame.to_ndarray(), dtype=np.float32) for frame in frames], axis=1)
    return np.pad(heard, ((0, 0), (max(0, first), 0)))[:, max(0, -first) :], rate
