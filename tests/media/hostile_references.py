"""Files that point at other files and hosts: playlists, scripts, manifests, and containers whose media lies elsewhere."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from tests.media.hostile_boxes import box, boxes, element, full_box, matroska, number, with_boxes
from tests.media.hostile_watch import Canaries
from tests.media.made import shots_of, write_video

SUFFIXES = ("ts", "mkv", "avi", "webm", "mov", "flv", "mpg")
TRUE_SUFFIXES = {"hls": "m3u8", "dash": "mpd", "sdp": "sdp", "concat": "ffconcat"}  # without which ffmpeg 8 takes no HLS for HLS


def scripts(canaries: Canaries, relative: str) -> Iterator[tuple[str, bytes]]:
    """(name without suffix, content). relative: from the input's folder to the canary stream, `../canary/target.ts`."""
    file, url = str(canaries.stream), canaries.url
    for name, target in (
        ("relative", relative),
        ("absolute", file),
        ("file", f"file://{file}"),
        ("http", url),
        ("crypto", f"crypto+{url}"),
    ):
        yield f"hls-{name}", _hls(f"#EXTINF:10,\n{target}\n")
        yield f"concat-{name}", f"ffconcat version 1.0\nfile '{target}'\n".encode()
        yield f"m3u-{name}", f"#EXTM3U\n{target}\n".encode()
    yield "concat-passwd", b"ffconcat version 1.0\nfile file:///etc/passwd\n"
    yield "concat-unsafe", f"ffconcat version 1.0\nfile subfile,,start,0,end,0,,:{file}\n".encode()
    yield "concat-plain", f"file {file}\nfile {url}\n".encode()
    yield "hls-key", _hls(f'#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:10,\n{file}\n')
    yield "hls-map", _hls(f'#EXT-X-MAP:URI="{file}"\n#EXTINF:10,\n{url}\n')
    yield "hls-range", _hls(f"#EXTINF:10,\n#EXT-X-BYTERANGE:188@0\n{canaries.text}\n")
    yield "hls-variants", f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n#EXT-X-STREAM-INF:BANDWIDTH=2\n{file}\n".encode()
    yield "hls-concat", _hls(f"#EXTINF:10,\nconcat:{canaries.text}|{file}\n")
    yield "hls-data", _hls("#EXTINF:10,\ndata:video/mp2t;base64,R0AAEAAAsA0AAcEAAAAB8AAqsQSy\n")
    yield "hls-behind-a-bom", b"\xef\xbb\xbf" + _hls(f"#EXTINF:10,\n{file}\n")
    yield "hls-behind-packets", b"\x47" + bytes(187) + _hls(f"#EXTINF:10,\n{file}\n")
    yield "dash", _dash(url)
    yield "dash-file", _dash(f"file://{file}")
    yield "sdp", _sdp(canaries.ports.udp_port)
    yield "rtsp", f"rtsptext\nrtsp://127.0.0.1:{canaries.ports.tcp_port}/x\n".encode()
    yield "asx", f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>'.encode()
    yield "asf-reference", f"[Reference]\r\nRef1={url}\r\nRef2={file}\r\n".encode()
    yield "pls", f"[playlist]\nNumberOfEntries=1\nFile1={file}\n".encode()
    yield "smil", f'<smil><body><video src="{url}"/></body></smil>'.encode()
    yield "xspf", f'<playlist version="1"><trackList><track><location>{url}</location></track></trackList></playlist>'.encode()
    yield "avisynth", f'AviSource("{file}")\n'.encode()
    yield "image2", str(canaries.picture.parent / "target-%03d.png").encode()
    yield "vobsub", f"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:01:000, filepos: 000000000\n{file}\n".encode()
    yield "microdvd", b"{0}{25}text\n{25}{50}more\n" * 20
    yield "srt", b"1\n00:00:00,000 --> 00:00:05,000\nwords\n\n" * 20
    yield "webvtt", b"WEBVTT\n\n00:00.000 --> 00:05.000\nwords\n"
    yield "imf", f'<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><!-- {url} -->'.encode()
    yield "svg", f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>'.encode()
    yield "lavfi", f"movie={file}".encode()


def _hls(entries: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n{entries}#EXT-X-ENDLIST\n".encode()


def _dash(target: str) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT10S" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1" bandwidth="1000"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ).encode()


def _sdp(port: int) -> bytes:
    return f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n".encode()


def external_data(seed: bytes, target: Path, kind: bytes = b"alis") -> bytes:
    """An mp4 whose samples are said to lie in `target`: a classic Mac alias, or a URL (kind `url `)."""
    if kind == b"alis":
        path = os.fsencode(target)
        name = target.name.encode()[:63]
        alias = bytes(10) + bytes([0]) + bytes(27) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
        alias += struct.pack(">HH", 2, 2) + bytes(16)  # "../" and the last two names of the path
        path += b"\0" * (len(path) % 2)
        alias += struct.pack(">HH", 2, len(path)) + path + struct.pack(">Hh", 0xFFFF, 0)
        entry = full_box(b"alis", alias)
    else:
        entry = full_box(kind, f"file://{target}".encode() + b"\0")
    return with_boxes(seed, {b"dref": full_box(b"dref", struct.pack(">I", 1), entry)})


def reference_movie(target: str) -> bytes:
    """A QuickTime movie that holds nothing but the address of another (rmra, rmda, rdrf)."""
    address = target.encode() + b"\0"
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(
        b"moov", box(b"rmra", box(b"rmda", full_box(b"rdrf", b"url ", struct.pack(">I", len(address)), address)))
    )


def linked_matroska(folder: Path, target: Path) -> bytes:
    """Matroska that names a next segment, ordered chapters of another one, and carries an attachment with a path for a name."""
    path = write_video(folder / "linked-seed.mkv", shots_of([5]))
    other = bytes(range(16))
    info = element(0x1549A966, element(0x3EB923, other) + element(0x3E83BB, str(target).encode()) + element(0x73A4, bytes(16)))
    atom = element(0xB6, number(0x73C4, 1) + number(0x91, 0) + number(0x92, 10**9) + element(0x6E67, other))
    chapters = element(0x1043A770, element(0x45B9, number(0x45DD, 1, 1) + atom))
    attached = element(0x466E, b"../../escaped.ttf") + element(0x4660, b"font/ttf") + element(0x465C, bytes(100)) + number(0x46AE, 7)
    try:
        return matroska(path, info, chapters, element(0x1941A469, element(0x61A7, attached)))
    finally:
        path.unlink()


def write_references(folder: Path, canaries: Canaries) -> list[Path]:
    """All of them, each under several suffixes in turn; returns their paths."""
    relative = os.path.relpath(canaries.stream, folder)
    made = []

    def put(name: str, content: bytes) -> None:
        path = folder / name
        path.write_bytes(content)
        made.append(path)

    for number_, (name, content) in enumerate(scripts(canaries, relative)):
        put(f"{name}.mp4", content)
        other = TRUE_SUFFIXES.get(name.split("-")[0]) or SUFFIXES[number_ % len(SUFFIXES)]
        put(f"{name}.{other}", content + b"# another\n")  # other bytes: no duplicate of the one before
    seed = write_video(folder / "seed.tmp.mp4", shots_of([10]))
    data = seed.read_bytes()
    seed.unlink()
    assert [kind for kind, _, _ in boxes(data)][-1] == b"moov", "external_data needs the index at the end"
    for kind in (b"alis", b"url ", b"urn "):
        put(f"dref-{kind.decode().strip()}.mp4", external_data(data, canaries.video, kind))
    put("dref-relative.mov", external_data(data, Path(os.path.relpath(canaries.video, folder))))
    put("reference-file.mov", reference_movie(f"file://{canaries.video}"))
    put("reference-http.mov", reference_movie(canaries.url))
    put("linked.mkv", linked_matroska(folder, canaries.video))
    return made
