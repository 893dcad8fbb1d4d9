"""Files whose headers lie: sizes, counts, rates and lengths that no video has. Each is small; most hold a few sound pictures."""

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av

from internvid_pipeline.media.thread_priority import open_encoder
from tests.media.hostile_boxes import box, boxes, element, full_box, matroska, number, patched, table, with_boxes, with_element
from tests.media.made import Made, Track, beeps, numbered, shots_of, write_video

_HUGE = 0xFFFFFFFF
_MDHD, _MVHD, _TKHD = "moov/trak/mdia/mdhd", "moov/mvhd", "moov/trak/tkhd"


class Seeds:
    """Small sound files to spoil, made once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sound = Made(tracks=[Track(beeps([0.1], 0.8))])
        self.mp4 = write_video(folder / "seed.mp4", shots_of([20]), sound).read_bytes()
        self.mkv = write_video(folder / "seed.mkv", shots_of([20]), sound)
        pcm = [Track(beeps([0.1], 0.8), codec="pcm_s16le")]
        self.avi = write_video(folder / "seed.avi", shots_of([20]), Made(codec="mpeg4", tracks=pcm))
        self.ivf = write_video(folder / "seed.ivf", shots_of([10]), Made(codec="libvpx")).read_bytes()
        self.mov = write_video(folder / "seed.mov", shots_of([20]), Made(codec="mjpeg", pix_fmt="yuvj420p")).read_bytes()
        self.fragmented = write_video(
            folder / "fragments.mp4", shots_of([20]), Made(container_options={"movflags": "+frag_keyframe+empty_moov+default_base_moof"})
        ).read_bytes()
        self.folder = folder


def _stbl(count: int, size: int = 100) -> dict[bytes, bytes | None]:
    return {
        b"stts": table(b"stts", [(count, 512)]),
        b"stsz": full_box(b"stsz", struct.pack(">II", size, count)),
        b"stsc": table(b"stsc", [(1, count, 1)]),
        b"stco": table(b"stco", [(1, 48)], 1)[:-4],
        b"ctts": None,
        b"stss": None,
    }


def _mp4_makers() -> dict[str, Callable[[Seeds], bytes]]:
    stts_huge = {b"stts": table(b"stts", [(1, 512)], _HUGE)}
    edits = {n: table(b"elst", [(20, k % 512, 0x10000) for k in range(n)]) for n in (5000, 200_000)}
    rate = struct.pack
    return {
        "timescale-0.mp4": lambda s: patched(patched(s.mp4, _MDHD, 20, bytes(4)), _MVHD, 20, bytes(4)),
        "timescale-1.mp4": lambda s: patched(s.mp4, _MDHD, 20, rate(">I", 1)),
        "timescale-max.mp4": lambda s: patched(s.mp4, _MDHD, 20, rate(">I", _HUGE)),
        "timescale-2-31.mp4": lambda s: patched(s.mp4, _MDHD, 20, rate(">I", (1 << 31) - 1)),
        "duration-max.mp4": lambda s: patched(patched(s.mp4, _MDHD, 24, rate(">I", _HUGE)), _MVHD, 24, rate(">I", _HUGE)),
        "duration-enormous.mp4": lambda s: patched(patched(s.mp4, _MDHD, 24, rate(">I", _HUGE - 1)), _MVHD, 24, rate(">I", _HUGE - 1)),
        "frames-billion.mp4": lambda s: with_boxes(s.mp4, _stbl(10**9)),
        "frames-4-billion.mp4": lambda s: with_boxes(s.mp4, _stbl(_HUGE)),
        "frames-billion-empty.mp4": lambda s: with_boxes(s.mp4, _stbl(10**9, 0)),
        "stts-count.mp4": lambda s: with_boxes(s.mp4, stts_huge),
        "stts-duration.mp4": lambda s: with_boxes(s.mp4, {b"stts": table(b"stts", [(1, 512), (19, 0x7FFFFFFF)])}),
        "stts-negative.mp4": lambda s: with_boxes(s.mp4, {b"stts": table(b"stts", [(20, -512)])}),
        "stts-zero.mp4": lambda s: with_boxes(s.mp4, {b"stts": table(b"stts", [(20, 0)])}),
        "stts-long.mp4": lambda s: with_boxes(s.mp4, {b"stts": table(b"stts", [(3, 512), (17, 150_000)])}),
        "ctts-huge.mp4": lambda s: with_boxes(s.mp4, {b"ctts": table(b"ctts", [(20, 0x7FFFFFF0)])}),
        "ctts-wild.mp4": lambda s: with_boxes(s.mp4, {b"ctts": table(b"ctts", [(1, k * 7919 % 100_000) for k in range(20)])}),
        "stsc-huge.mp4": lambda s: with_boxes(s.mp4, {b"stsc": table(b"stsc", [(1, _HUGE, 1)])}),
        "stco-outside.mp4": lambda s: with_boxes(s.mp4, {b"stco": table(b"stco", [(0xFFFFFF00,)] * 20)}),
        "elst-5000.mp4": lambda s: _edited(s, edits[5000]),
        "elst-200000.mp4": lambda s: _edited(s, edits[200_000]),
        "elst-count.mp4": lambda s: _edited(s, table(b"elst", [(20, 0, 0x10000)], _HUGE)),
        "elst-negative.mp4": lambda s: _edited(s, table(b"elst", [(_HUGE, _HUGE, 0x10000), (20, 0x7FFFFFFF, 0)])),
        "atom-64-bit.mp4": lambda s: s.mp4 + struct.pack(">I4sQ", 1, b"free", (1 << 63) + 5),
        "atom-64-bit-first.mp4": lambda s: s.mp4[:32] + struct.pack(">I4sQ", 1, b"skip", (1 << 63) - 1) + s.mp4[32:],
        "atom-too-small.mp4": lambda s: s.mp4[:-8] + struct.pack(">I4s", 4, b"moov"),
        "atom-udta-huge.mp4": lambda s: s.mp4 + struct.pack(">I4sI4s", 0x7FFFFFFF, b"moov", 0x7FFFFFF0, b"udta"),
        "nested-1000.mp4": lambda s: s.mp4[:32] + _nested(1000) + s.mp4[32:],
        "nested-100000.mp4": lambda s: s.mp4[:32] + _nested(100_000) + s.mp4[32:],
        "boxes-100000.mp4": lambda s: s.mp4[:32] + box(b"free") * 100_000,
        "traks-500.mp4": lambda s: _more_traks(s.mp4, 500),
        "traks-3000.mp4": lambda s: _more_traks(s.mp4, 3000),
        "extradata-huge.mp4": lambda s: s.mp4.replace(b"avcC", b"avcC"[:3] + b"\xff"),
        "trun-billion.mp4": lambda s: with_boxes(s.fragmented, {b"trun": full_box(b"trun", struct.pack(">I", 10**9))}),
        "trun-4-billion.mp4": lambda s: with_boxes(s.fragmented, {b"trun": full_box(b"trun", struct.pack(">I", _HUGE), flags=0x1)}),
        "tfdt-huge.mp4": lambda s: with_boxes(s.fragmented, {b"tfdt": full_box(b"tfdt", struct.pack(">Q", (1 << 63) - 1), version=1)}),
        "sound-rate-0.mp4": lambda s: _sound(s.mp4, 24, struct.pack(">I", 0)),
        "sound-rate-max.mp4": lambda s: _sound(s.mp4, 24, struct.pack(">I", _HUGE)),
        "sound-channels-65535.mp4": lambda s: _sound(s.mp4, 16, struct.pack(">H", 65535)),
        "sides-65535.mov": lambda s: s.mov.replace(struct.pack(">HH", 320, 180), struct.pack(">HH", 65535, 65535)),
        "sides-0.mov": lambda s: s.mov.replace(struct.pack(">HH", 320, 180), bytes(4)),
    }


def _edited(seeds: Seeds, elst: bytes) -> bytes:
    return with_boxes(seeds.mp4, {b"elst": elst})


def _nested(depth: int) -> bytes:
    """Boxes in boxes; each says that it holds all that follow."""
    return b"".join(struct.pack(">I4s", 8 * (depth - k), b"moov") for k in range(depth))


def _more_traks(data: bytes, count: int) -> bytes:
    kinds = {kind: (start, end) for kind, start, end in boxes(data)}
    start, end = kinds[b"moov"]
    children = list(boxes(data, start + 8, end))
    trak = next(data[first:last] for kind, first, last in children if kind == b"trak")
    return data[:start] + box(b"moov", data[start + 8 : end] + trak * (count - 2))


def _sound(data: bytes, behind: int, value: bytes) -> bytes:
    """The sound's sample description changed `behind` bytes after its kind: channels at 16, rate (16.16) at 24."""
    at = data.index(b"mp4a") + 4 + behind
    return data[:at] + value + data[at + len(value) :]


def _mkv_makers() -> dict[str, Callable[[Seeds], bytes]]:
    def change(ident: int, value: bytes) -> Callable[[Seeds], bytes]:
        return lambda s: with_element(s.mkv.read_bytes(), ident, value)

    float64 = struct.Struct(">d")
    nested = b""
    for _ in range(2000):
        nested = element(0xB6, nested)  # ChapterAtom in ChapterAtom
    tags = b""
    for _ in range(2000):
        tags = element(0x67C8, tags)  # SimpleTag in SimpleTag
    track = lambda k: element(0xAE, number(0xD7, k) + number(0x73C5, k) + number(0x83, 1, 1) + element(0x86, b"V_MPEG4/ISO/ASP"))  # noqa: E731
    return {
        "scale-0.mkv": change(0x2AD7B1, bytes(8)),
        "scale-max.mkv": change(0x2AD7B1, b"\x7f" + b"\xff" * 7),
        "duration-enormous.mkv": change(0x4489, float64.pack(1e30)),
        "duration-negative.mkv": change(0x4489, float64.pack(-1e12)),
        "duration-nan.mkv": change(0x4489, float64.pack(float("nan"))),
        "duration-200-s.mkv": change(0x4489, float64.pack(200_000.0)),
        "sides-65535.mkv": lambda s: with_element(with_element(s.mkv.read_bytes(), 0xB0, b"\xff\xff"), 0xBA, b"\xff\xff"),
        "frame-ns-1.mkv": change(0x23E383, b"\x01"),
        "sound-rate-0.mkv": change(0xB5, bytes(8)),
        "sound-rate-max.mkv": change(0xB5, float64.pack(2.0**31)),
        "sound-channels-255.mkv": change(0x9F, b"\xff"),
        "nested-chapters.mkv": lambda s: matroska(s.mkv, element(0x1043A770, element(0x45B9, nested))),
        "nested-tags.mkv": lambda s: matroska(s.mkv, element(0x1254C367, element(0x7373, tags))),
        "element-huge.mkv": lambda s: matroska(s.mkv, element(0x1941A469, b"", (1 << 56) - 2)),
        "element-4-gb.mkv": lambda s: matroska(s.mkv, element(0x1254C367, element(0x7373, b"", 1 << 32))),
        "tracks-500.mkv": lambda s: matroska(s.mkv, element(0x1654AE6B, b"".join(track(k) for k in range(10, 510)))),
        "cluster-time-max.mkv": change(0xE7, b"\xff" * 8),
        "chapters-100000.mkv": lambda s: matroska(
            s.mkv, element(0x1043A770, element(0x45B9, b"".join(element(0xB6, number(0x73C4, k)) for k in range(100_000))))
        ),
    }


def _other_makers() -> dict[str, Callable[[Seeds], bytes]]:
    def ivf(at: int, form: str, *values: int) -> Callable[[Seeds], bytes]:
        return lambda s: s.ivf[:at] + struct.pack(form, *values) + s.ivf[at + struct.calcsize(form) :]

    def avi(old: bytes, new: bytes) -> Callable[[Seeds], bytes]:
        def make(seeds: Seeds) -> bytes:
            data = seeds.avi.read_bytes()
            assert old in data
            return data.replace(old, new)

        return make

    size = struct.pack("<II", 320, 180)
    return {
        "sides-65535.ivf": ivf(12, "<HH", 65535, 65535),
        "timebase-0.ivf": ivf(16, "<II", 0, 0),
        "timebase-max.ivf": ivf(16, "<II", _HUGE, 1),
        "timebase-min.ivf": ivf(16, "<II", 1, _HUGE),
        "timebase-1000-s.ivf": ivf(16, "<II", 1, 1000),
        "frames-billion.ivf": ivf(24, "<I", 10**9),
        "packet-huge.ivf": ivf(32, "<I", 0x7FFFFFFF),
        "sides-65535.avi": avi(size, struct.pack("<II", 65535, 65535)),
        "sides-negative.avi": avi(size, struct.pack("<ii", -320, -(2**31))),
        "sound-rate-1.avi": avi(struct.pack("<HHI", 1, 1, 48000), struct.pack("<HHI", 1, 1, 1)),
        "sound-rate-0.avi": avi(struct.pack("<HHI", 1, 1, 48000), struct.pack("<HHI", 1, 1, 0)),
        "sound-rate-max.avi": avi(struct.pack("<HHI", 1, 1, 48000), struct.pack("<HHI", 1, 1, 1 << 31)),
        "sound-channels-65535.avi": avi(struct.pack("<HHI", 1, 1, 48000), struct.pack("<HHI", 1, 65535, 48000)),
        "scale-0.avi": avi(struct.pack("<II", 1, 25), struct.pack("<II", 0, 0)),
        "rate-max.avi": avi(struct.pack("<II", 1, 25), struct.pack("<II", 1, _HUGE)),
        "sides-65535.y4m": lambda s: b"YUV4MPEG2 W65535 H65535 F25:1 Ip A1:1 C420\nFRAME\n" + bytes(1000),
        "sides-negative.y4m": lambda s: b"YUV4MPEG2 W-5 H2147483647 F0:0 Ip A1:1 C420\nFRAME\n" + bytes(1000),
        "sides-65535.gif": lambda s: b"GIF89a\xff\xff\xff\xff\xf0\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;",
        "png-65535.mov": lambda s: _pictures(s.folder / "p.mov", "png", "rgb24", _png(65535, 65535)),
        "png-16384.mov": lambda s: _pictures(s.folder / "p.mov", "png", "rgb24", _png(16384, 4096, whole=True)),
        "png-30000.mov": lambda s: _pictures(s.folder / "p.mov", "png", "rgb24", _png(30000, 30000)),
        "sps-65536.h264": lambda s: _sps(4096, 4096) + b"\0\0\0\1\x65\x88\x84" + bytes(2000),
        "sps-max.h264": lambda s: _sps(1 << 30, 1 << 30) + b"\0\0\0\1\x65\x88\x84" + bytes(2000),
        "sound-without-end.mkv": lambda s: _sound_only_tail(s.folder / "t.mkv"),
        "changing-size.mkv": lambda s: _changing_size(s.folder / "c.mkv"),
        "streams-500.mkv": lambda s: _many_streams(s.folder / "m.mkv", 500),
        "three-frames-in-200-s.mp4": lambda s: _sparse(s.folder / "s.mp4"),
    }


def _pictures(path: Path, codec: str, pix_fmt: str, coded: bytes) -> bytes:
    """Three packets of the same hand-made picture in a container that says 64x48."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.open()
        for k in range(3):
            packet = av.Packet(coded)
            packet.stream, packet.pts, packet.dts, packet.time_base, packet.is_keyframe = stream, k, k, Fraction(1, 25), True
            container.mux(packet)
    return path.read_bytes()


def _png(width: int, height: int, whole: bool = False) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    rows = height if whole else 64  # without `whole`, the picture breaks off after a few rows
    line = bytes(1 + 3 * width)
    data = b"".join(packer.compress(line) for _ in range(rows)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _sps(width_mbs: int, height_mbs: int) -> bytes:
    """A sequence parameter set of H.264 (baseline, level 5.1) and a picture parameter set."""

    def golomb(value: int) -> str:
        code = bin(value + 1)[2:]
        return "0" * (len(code) - 1) + code

    bits = "010000100000000000110011" + "".join(golomb(v) for v in (0, 0, 0, 0, 1)) + "0" + golomb(width_mbs - 1) + golomb(height_mbs - 1)
    bits += "1" + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\0\0\0\1\x67" + int(bits, 2).to_bytes(len(bits) // 8, "big") + b"\0\0\0\1\x68\xce\x38\x80"


def _sound_only_tail(path: Path) -> bytes:
    """Five pictures, then half an hour of sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        sound = container.add_stream("pcm_u8", rate=8000, layout="mono")
        for k in range(5):
            frame = av.VideoFrame.from_ndarray(numbered(k), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for k in range(1800):
            packet = av.Packet(b"\x80" * 8000)
            packet.stream, packet.pts, packet.dts, packet.time_base = sound, k * 8000, k * 8000, Fraction(1, 8000)
            container.mux(packet)
    return path.read_bytes()


def _changing_size(path: Path) -> bytes:
    """Twenty pictures, each of another size than the one before."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuvj420p"
        stream.codec_context.open()
        for k in range(20):
            coder = av.codec.CodecContext.create("mjpeg", "w")
            coder.width, coder.height, coder.pix_fmt, coder.time_base = 64 + 16 * (k % 7), 180 - 8 * (k % 5), "yuvj420p", Fraction(1, 25)
            picture = numbered(k, coder.width, coder.height)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            for packet in [*coder.encode(frame), *coder.encode(None)]:
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, k, k, Fraction(1, 25)
                container.mux(packet)
    return path.read_bytes()


def _many_streams(path: Path, count: int) -> bytes:
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        for _ in range(count - 1):
            container.add_stream("pcm_u8", rate=8000, layout="mono")
        for k in range(5):
            frame = av.VideoFrame.from_ndarray(numbered(k), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path.read_bytes()


def _sparse(path: Path) -> bytes:
    """Three pictures, the last of which is shown for 200 s."""
    return write_video(path, shots_of([3]), Made(time_base=Fraction(1, 1000), pts=[0, 40, 80], end_pts=200_000)).read_bytes()


def write_hostile(folder: Path, seeds: Seeds, names: set[str] | None = None) -> list[Path]:
    """All of them, or those named."""
    made = []
    for name, maker in (_mp4_makers() | _mkv_makers() | _other_makers()).items():
        if names is None or name in names:
            path = folder / name
            path.write_bytes(maker(seeds))
            made.append(path)
    return made


def write_bombs(folder: Path) -> list[Path]:
    """Black pictures of 8192x8192, the largest that is allowed: a few hundred bytes of file for each 100 MB of picture. Slow to make."""
    made = []
    kinds = {"x264.mp4": ("libx264", {"preset": "ultrafast"})}
    kinds |= {"x264-refs.mp4": ("libx264", {"preset": "ultrafast", "refs": "16", "bf": "3"})}
    kinds |= {"x265.mp4": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}), "av1.mkv": ("libsvtav1", {"preset": "12"})}
    for name, (codec, options) in kinds.items():
        path = folder / f"black-{name}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width = stream.height = 8192
            stream.pix_fmt = "yuv420p"
            open_encoder(stream.codec_context)
            frame = av.VideoFrame(8192, 8192, "yuv420p")
            for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            for number in range(24):
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        made.append(path)
    return made
