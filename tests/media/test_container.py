"""Opening strangers' files: what is refused, in which words, and that nothing but the file itself is read."""

import contextlib
import errno
import os
import resource
from pathlib import Path

import av
import numpy as np
import pytest

from internvid_pipeline.errors import ItemError, MediaLimitError, UnreadableMedia, is_machine_fault
from internvid_pipeline.media.container import audio_stream, check_sound, open_media, video_stream
from internvid_pipeline.media.iso_boxes import outline
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.probe import probe
from tests.media.hostile_boxes import table, with_boxes
from tests.media.made import Made, Track, beeps, numbered, shots_of, write_video


def words(path: Path, limits: MediaLimits | None = None) -> str:
    with pytest.raises((UnreadableMedia, MediaLimitError)) as caught:
        open_media(path, limits or MediaLimits())
    message = str(caught.value)
    assert "\n" not in message and str(path.parent) not in message
    return message


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.mp4", shots_of([10]), Made(tracks=[Track(beeps([0.1], 0.4))]))


def test_header_cut_off(tmp_path: Path, video: Path):
    """Without its last kilobytes an mp4 that is not faststart has lost its index."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(video.read_bytes()[:-4000])
    assert words(broken) == "not readable as a video: moov atom not found"


def test_things_that_are_no_files(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is a folder, pipe or device" in words(tmp_path / "pipe.mp4")  # and reading it does not hang
    assert "is a folder, pipe or device" in words(tmp_path)
    assert "No such file" in words(tmp_path / "missing.mp4")
    (tmp_path / "empty.mp4").touch()
    assert words(tmp_path / "empty.mp4") == "is empty (0 bytes)"


@pytest.mark.parametrize(
    "script",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{target}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "[playlist]\nFile1={target}\n",
        "just some words, long enough to be taken for ANSI art \x1b[31mby a demuxer for text files\n" * 50,
    ],
    ids=["hls", "hls-file-url", "concat", "sdp", "pls", "text"],
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip.ts", "clip"])
def test_playlists_and_scripts_read_nothing(tmp_path: Path, video: Path, script: str, name: str):
    """Dressed as a video, or not: they name another readable local file, which must not be opened."""
    dressed = tmp_path / name
    dressed.write_text(script.format(target=video))
    assert words(dressed), "refused, with a reason"


def test_the_playlist_would_have_worked(tmp_path: Path):
    """The same kind of attack against plain PyAV does read the other file: the test above can fail."""
    target = write_video(tmp_path / "target.ts", shots_of([10]))
    playlist = tmp_path / "clip.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n")
    with av.open(str(playlist)) as container:
        assert len(list(container.decode(video=0))) == 10


@pytest.mark.parametrize("name", ["a b'c\"d.mp4", "http:x.mp4", "concat:a|b.mp4", "-i.mp4", "é%d.mp4", "line\nbreak.mp4"])
def test_odd_names(tmp_path: Path, video: Path, name: str):
    odd = tmp_path / name
    odd.write_bytes(video.read_bytes())
    assert probe(odd).video is not None


def test_names_that_are_not_utf8(tmp_path: Path, video: Path):
    odd = os.path.join(os.fsencode(tmp_path), b"\xff\xfe.mp4")
    Path(os.fsdecode(odd)).write_bytes(video.read_bytes())
    assert probe(Path(os.fsdecode(odd))).video is not None


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_side_px": 300}, "320x180"),
        ({"max_pixels": 50_000}, "320x180"),
        ({"max_duration_s": 0.3}, "max_duration_s"),
        ({"max_fps": 20}, "25 frames per second"),
        ({"max_frames": 9}, "10 frames"),
        ({"max_streams": 1}, "2 streams"),
    ],
)
def test_limits(video: Path, limits: dict, said: str):
    with pytest.raises(MediaLimitError, match=said) as caught:
        open_media(video, MediaLimits(**limits))
    assert next(iter(limits)) in str(caught.value)


@pytest.mark.parametrize(
    ("rate", "channels", "is_refused"), [(1, 1, True), (999, 1, True), (8000, 64, False), (48000, 65, True), (10**6, 1, True)]
)
def test_sound_that_no_machine_makes(rate: int, channels: int, is_refused: bool):
    with pytest.raises(MediaLimitError, match="limits") if is_refused else contextlib.nullcontext():
        check_sound(rate, channels, MediaLimits())


def test_an_edit_list_without_end(tmp_path: Path, video: Path):
    """ffmpeg needs 9 s for 5,000 entries, and minutes for 50,000; real ones have a handful. Many small ones are read."""
    data = video.read_bytes()
    few = tmp_path / "few.mp4"
    few.write_bytes(with_boxes(data, {b"elst": table(b"elst", [(40, 1024 * k, 0x10000) for k in range(8)])}))
    assert probe(few).video is not None
    many = tmp_path / "many.mp4"
    many.write_bytes(with_boxes(data, {b"elst": table(b"elst", [(1, 0, 0x10000)] * 1001)}))
    assert words(many) == "has an edit list of 1001 entries, allowed are 1000 (limits.max_edits)"
    many.write_bytes(with_boxes(data, {b"elst": table(b"elst", [(400, 1024, 0x10000)], count=10**9)}))
    assert outline(many).most_edits == 1, "counted as far as they are there"


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\0\0\0\1ftyp", b"\0\0\0\0moov", b"\0\0\0\x10moov\0\0\0\1trak" + b"\xff" * 8, b"\0\0\0\4moov" * 9]
)
def test_outlines_of_nonsense(tmp_path: Path, content: bytes):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    assert outline(path).most_edits == 0 and outline(path).num_tracks <= 1


def test_too_many_streams(tmp_path: Path):
    silence = Track(np.zeros((1, 2048), np.float32))
    many = write_video(tmp_path / "many.mkv", shots_of([5]), Made(tracks=[silence] * 70))
    assert "more than 64 streams" in words(many)


def test_no_file_handles_left_is_the_machines_fault(video: Path):
    """Otherwise every file of a run would be recorded as broken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError) as caught:
            open_media(video, MediaLimits())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE and is_machine_fault(caught.value)


def test_cover_art_is_no_video(tmp_path: Path):
    """An m4a with a cover: ffmpeg shows it as a video stream of one picture."""
    song = tmp_path / "song.m4a"
    with av.open(str(song), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=48000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(numbered(1, 64, 48), format="rgb24").reformat(format="yuvj420p")
        container.mux(cover.encode(picture) + cover.encode(None))
        samples = av.AudioFrame.from_ndarray(beeps([0.0], 1.0), format="fltp", layout="mono")
        samples.sample_rate = 48000
        container.mux(sound.encode(samples) + sound.encode(None))
    with av.open(str(song)) as container:
        assert len(container.streams.video) == 1  # the trap is there
    with open_media(song, MediaLimits()) as container:
        assert video_stream(container) is None
        assert audio_stream(container) is not None
    assert probe(song).video is None


def test_title_in_another_encoding(tmp_path: Path, video: Path):
    """Latin-1 in a tag that should be UTF-8 is common; the video is still good."""
    tagged = write_video(tmp_path / "tagged.mp4", shots_of([5]), Made(metadata={"title": "Zürich?"}))
    data = tagged.read_bytes()
    assert "Zürich?".encode() in data
    tagged.write_bytes(data.replace("Zürich?".encode(), b"Z\xfcri\xe9\xe8ch"))
    assert probe(tagged).video is not None


def test_a_header_that_claims_absurd_sizes(tmp_path: Path):
    """320x180 in an AVI's header replaced by 65535x65535: refused, and nothing of that size is ever asked of the memory."""
    path = write_video(tmp_path / "v.avi", shots_of([5]), Made(codec="ffv1", pix_fmt="yuv420p"))
    data = path.read_bytes()
    size = (320).to_bytes(4, "little") + (180).to_bytes(4, "little")
    assert data.count(size) >= 1
    path.write_bytes(data.replace(size, (65535).to_bytes(4, "little") * 2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ItemError):
        probe(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
