"""The encoders of clips and what each is told: x264, x265, SVT-AV1."""

import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
from av.sidedata.sidedata import Type as SideDataType

ClipCodec = Literal["h264", "hevc", "av1"]
QUICK = "quick"
_QUICK_TOOLS = ("deblock=0,0", "rc-lookahead=0", "mbtree=0")
_QUICK_FINER = 2
_CRF: Mapping[ClipCodec, int] = {"h264": 23, "hevc": 28, "av1": 35}
# SVT-AV1 counts its presets; it warns of visible faults from 10 on.
_AV1_PRESETS = {
    QUICK: 9,
    "ultrafast": 9,
    "superfast": 9,
    "veryfast": 8,
    "faster": 8,
    "fast": 7,
    "medium": 6,
    "slow": 5,
    "slower": 4,
    "veryslow": 2,
}


@dataclass(frozen=True)
class EncoderSettings:
    """crf: None: the encoder's own default. preset: x264's names, or `quick`: see `x264_options`. audio_bit_rate: bits per second for one
    channel. audio_rate_hz: None: the source's, where AAC takes it. codec: of pictures that are encoded."""

    crf: int | None = None
    preset: str = QUICK
    audio_bit_rate: int = 64_000
    audio_rate_hz: int | None = None
    codec: ClipCodec = "h264"


@dataclass(frozen=True)
class VideoEncoder:
    """name: libavcodec's. tag: of the stream in an mp4; None: the muxer's own."""

    name: str
    options: Mapping[str, str]
    tag: str | None = None


@dataclass(frozen=True)
class HdrLevels:
    """Mastering display and content light level (SMPTE ST 2086, CTA-861.3). corners: x and y, 0 to 1, of red, green, blue and white.
    low, high: cd/m2 of the display. lights: cd/m2, most of a pixel and of a picture."""

    corners: tuple[tuple[Fraction, Fraction], ...] = ()
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)
    lights: tuple[int, int] | None = None


def video_encoder(settings: EncoderSettings, is_steady: bool, bits: int, hdr: HdrLevels) -> VideoEncoder:
    """For a clip of which every frame is encoded. is_steady: False: frames of unequal length. bits: of a sample.

    mp4 stores decoding times. With reordered frames of unequal length the last one's would be lost, and the clip end early: such clips
    get no B-frames. All encoders run on one thread, or in a way that does not depend on how many there are: the same bytes everywhere."""
    return _ENCODERS[settings.codec](settings, is_steady, bits, hdr)


def x264_options(settings: EncoderSettings, bits: int, own: Sequence[str] = ()) -> dict[str, str]:
    """Of the encoder libx264; own: further ones, `name=value`.

    `quick` is ultrafast with the loop filter left on and one quantiser for all frames: as large as the same crf makes it and as good on
    average, the worst frame better, for a tenth to a third less CPU time, since crf must weigh a small copy of every frame (our benchmark:
    benchmarks/README.md, what clips cost).
    """
    if settings.preset == QUICK:
        options = {"qp": str(_quantiser(_crf(settings, "h264"), bits)), "preset": "ultrafast"}
        parameters = [*_QUICK_TOOLS, *own]
    else:
        options, parameters = {"crf": str(_crf(settings, "h264")), "preset": settings.preset}, list(own)
    return options | ({"x264-params": ":".join(parameters)} if parameters else {})


def _quantiser(crf: int, bits: int) -> int:
    """Of P-pictures. x264 counts it from 0 at every depth, six more for each bit above 8; of 8 bits, 0 is lossless, as crf 0 is."""
    return max(crf - _QUICK_FINER, min(crf, 1)) + 6 * (bits - 8)


def hdr_levels(first: av.VideoFrame) -> HdrLevels:
    """As the first frame of a clip carries them. The layout is libavutil's AVMasteringDisplayMetadata: ten rationals and two flags."""
    found: Iterable[Any] = first.side_data  # whatever PyAV's type stub says
    sides = {side.type: bytes(side) for side in found}
    display = sides.get(SideDataType.MASTERING_DISPLAY_METADATA, b"")
    light = sides.get(SideDataType.CONTENT_LIGHT_LEVEL, b"")
    lights = struct.unpack_from("<2I", light) if len(light) >= 8 else None
    if len(display) < 88:
        return HdrLevels(lights=lights)
    numbers = struct.unpack_from("<22i", display)
    values = [Fraction(number, below) if below else Fraction(0) for number, below in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    if not all(numbers[20:22]):
        return HdrLevels(lights=lights)
    return HdrLevels(tuple(zip(values[:8:2], values[1:8:2], strict=True)), values[8], values[9], lights)


def _h264(settings: EncoderSettings, is_steady: bool, bits: int, hdr: HdrLevels) -> VideoEncoder:
    options = x264_options(settings, bits, _hdr_options(hdr, "mastering-display", "cll"))
    return VideoEncoder("libx264", options if is_steady else options | {"bf": "0"})


def _hevc(settings: EncoderSettings, is_steady: bool, bits: int, hdr: HdrLevels) -> VideoEncoder:
    parameters = ["log-level=none", "pools=none", "frame-threads=1", "open-gop=0", *_hdr_options(hdr, "master-display", "max-cll")]
    if not is_steady:
        parameters.append("bframes=0")
    preset = "ultrafast" if settings.preset == QUICK else settings.preset
    options = {"crf": str(_crf(settings, "hevc")), "preset": preset, "x265-params": ":".join(parameters)}
    return VideoEncoder("libx265", options, "hvc1")  # Apple's players know no other tag


def _av1(settings: EncoderSettings, is_steady: bool, bits: int, hdr: HdrLevels) -> VideoEncoder:
    """Its packets are in the order in which they are shown, whatever refers to what."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only; it writes to stderr whatever ffmpeg is told
    parameters = ["lp=1"]
    if hdr.corners:
        (red, green, blue, white) = (f"({float(x):.6f},{float(y):.6f})" for x, y in hdr.corners)
        parameters.append(f"mastering-display=G{green}B{blue}R{red}WP{white}L({float(hdr.high):.4f},{float(hdr.low):.4f})")
    if hdr.lights:
        parameters.append("content-light={},{}".format(*hdr.lights))
    options = {"crf": str(_crf(settings, "av1")), "preset": str(_AV1_PRESETS[settings.preset]), "svtav1-params": ":".join(parameters)}
    return VideoEncoder("libsvtav1", options)


_ENCODERS: Mapping[ClipCodec, Callable[[EncoderSettings, bool, int, HdrLevels], VideoEncoder]] = {"h264": _h264, "hevc": _hevc, "av1": _av1}


def _crf(settings: EncoderSettings, codec: ClipCodec) -> int:
    return _CRF[codec] if settings.crf is None else settings.crf


def _hdr_options(hdr: HdrLevels, display: str, light: str) -> list[str]:
    """In the words that x264 and x265 share: corners in units of 1/50000, levels of 1/10000 cd/m2."""
    parts = []
    if hdr.corners:
        (red, green, blue, white) = (f"({round(x * 50_000)},{round(y * 50_000)})" for x, y in hdr.corners)
        parts.append(f"{display}=G{green}B{blue}R{red}WP{white}L({round(hdr.high * 10_000)},{round(hdr.low * 10_000)})")
    if hdr.lights:
        parts.append("{}={},{}".format(light, *hdr.lights))
    return parts
