"""The door to ffmpeg: which binary, how long, with what words it fails. Everything runs a real process."""

import http.server
import subprocess
import sys
import threading
from pathlib import Path

import ffmpeg
import numpy as np
import pytest

from internvid_pipeline.errors import MediaLimitError, SetupError, StorageError, is_machine_fault
from internvid_pipeline.media.ffmpeg import FfmpegError, FfmpegTimeout, ffmpeg_path, ffmpeg_version, file_url, has_filter, run_ffmpeg

_ASK_PATH = "from internvid_pipeline.media.ffmpeg import ffmpeg_path; print(ffmpeg_path())"
_REPOSITORY = Path(__file__).parents[2]


def _program_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A shell script named `ffmpeg`, first on PATH."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return program


def _null_stream(source="testsrc2=size=64x36:rate=10", **options):
    return ffmpeg.input(source, f="lavfi", **options).output("-", f="null")


def _python_without_path(code: str, empty: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(empty), "PYTHONPATH": str(_REPOSITORY)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


def test_path_comes_before_the_wheel(tmp_path, monkeypatch):
    real = ffmpeg_path()
    program = _program_on_path(tmp_path, monkeypatch, f'exec "{real}" "$@"')
    assert ffmpeg_path() == str(program)
    assert ffmpeg_version()[0] in "n0123456789"


def test_wheel_serves_where_path_has_none(tmp_path):
    done = _python_without_path(_ASK_PATH, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "imageio_ffmpeg" in done.stdout and Path(done.stdout.strip()).is_file()


def test_neither_is_a_setup_error_that_says_what_to_do(tmp_path):
    code = f"""
import sys
sys.modules["imageio_ffmpeg"] = None
from internvid_pipeline.errors import SetupError
try:
    {_ASK_PATH.split(";")[0]}
    ffmpeg_path()
except SetupError as error:
    print(error)
"""
    done = _python_without_path(code, tmp_path)
    assert "no ffmpeg found" in done.stdout and "pip install imageio-ffmpeg" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("script", ["echo I am something else", "exit 7"])
def test_program_that_is_not_ffmpeg_is_a_setup_error(tmp_path, monkeypatch, script):
    program = _program_on_path(tmp_path, monkeypatch, script)
    with pytest.raises(SetupError, match=str(program)):
        ffmpeg_version()


def test_filters_are_known_by_name():
    assert has_filter("testsrc2") and has_filter("scale")
    assert not has_filter("no_such_filter") and not has_filter("Filters:")


def test_answer_on_the_pipe_is_the_frames_asked_for():
    stream = ffmpeg.input("color=c=0x20A060:size=64x36:rate=10", f="lavfi").output("pipe:", f="rawvideo", pix_fmt="rgb24", vframes=3)
    frames = np.frombuffer(run_ffmpeg(stream, 30), np.uint8).reshape(3, 36, 64, 3)
    assert np.abs(frames.astype(int) - [0x20, 0xA0, 0x60]).max() <= 3


def test_deadline_kills():
    with pytest.raises(FfmpegTimeout, match="killed after 1 s"):
        run_ffmpeg(_null_stream(re=None), 1)


def test_deadline_kills_the_whole_group(tmp_path, monkeypatch):
    """The child of the program holds our pipes: were it alive, the call would not return before its 300 s are over."""
    _program_on_path(tmp_path, monkeypatch, "sleep 300 & echo started >&2; wait")
    with pytest.raises(FfmpegTimeout, match="its last line: started"):
        run_ffmpeg(_null_stream(), 1)


def test_flood_of_messages_neither_blocks_nor_hides_the_last_one(tmp_path, monkeypatch):
    flood = "i=0; while [ $i -lt 20000 ]; do echo 'warning: the same words over and over again' >&2; i=$((i+1)); done"
    _program_on_path(tmp_path, monkeypatch, f"{flood}; echo 'the last word' >&2; exit 3")
    with pytest.raises(FfmpegError) as caught:
        run_ffmpeg(_null_stream(), 60)
    assert str(caught.value) == "ffmpeg ended with status 3: the last word"


def test_error_has_the_words_of_ffmpeg(tmp_path):
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(b"not a video" * 100)
    for path, words in ((tmp_path / "absent.mp4", "No such file or directory"), (garbage, "Invalid data found")):
        with pytest.raises(FfmpegError, match=f"ended with status [0-9]+: .*{words}") as caught:
            run_ffmpeg(ffmpeg.input(file_url(path)).output("-", f="null"), 30)
        assert "\n" not in str(caught.value) and " @ 0x" not in str(caught.value)


def test_full_disk_is_the_machines_fault():
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    stream = ffmpeg.input("testsrc2=size=320x180", f="lavfi", t=5).output("/dev/full", f="rawvideo")
    with pytest.raises(StorageError, match="No space left on device") as caught:
        run_ffmpeg(stream, 60)
    assert is_machine_fault(caught.value) and " @ 0x" not in str(caught.value)


def test_answer_beyond_its_bound_ends_the_run():
    stream = ffmpeg.input("testsrc2=size=320x180", f="lavfi").output("pipe:", f="rawvideo")
    with pytest.raises(MediaLimitError, match="more than 100000 bytes"):
        run_ffmpeg(stream, 60, max_stdout_bytes=100_000)


def test_no_connection_is_opened_even_when_the_caller_allows_it(tmp_path):
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_error(404)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/x.ts"
        playlist = tmp_path / "list.m3u8"
        playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n")
        for source in (url, file_url(playlist)):
            stream = ffmpeg.input(source, protocol_whitelist="file,http,tcp").output("-", f="null")
            with pytest.raises(FfmpegError):
                run_ffmpeg(stream, 30)
        server.shutdown()
    assert requests == []


def test_odd_file_names_are_taken_literally(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "-odd: name, имя.mkv"
    run_ffmpeg(ffmpeg.input("testsrc2=size=64x36:rate=10", f="lavfi", t=1).output(file_url(name), vcodec="ffv1"), 30)
    stream = ffmpeg.input(file_url(name)).output("pipe:", f="rawvideo", pix_fmt="gray")
    assert len(run_ffmpeg(stream, 30)) == 10 * 64 * 36
