"""Opening of strangers' files: local data only, known containers only, bounded, and every error in plain words."""

import contextlib
import os
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition

from internvid_pipeline.errors import ItemError, MediaLimitError, SetupError, UnreadableMedia, is_machine_fault
from internvid_pipeline.media.iso_boxes import outline
from internvid_pipeline.media.limits import MediaLimits

# Demuxers that read media out of one file. Left out on purpose: playlists and scripts that name other files or hosts (hls, dash,
# concat, image2, imf, sdp, rtsp), virtual inputs (lavfi) and demuxers that take any text for media (tty, subtitles).
DEMUXERS = (
    "mov,matroska,avi,flv,live_flv,asf,asf_o,mpegts,mpeg,mpegvideo,m4v,h264,hevc,h261,h263,av1,obu,ivf,vc1,dirac,"
    "ogg,mxf,nut,gxf,dv,rm,wtv,gif,yuv4mpegpipe,mjpeg,smjpeg,nsv,nuv,pva,wav,w64,aiff,flac,caf,mp3,aac,ac3,eac3,dts,amr"
)
_MAX_WORDS = 200  # ffmpeg quotes parts of the file; a message stays one line
_NO_WORDS = "Invalid data found when processing input"  # all that ffmpeg says of a file that is nothing it knows
_OTHER_FORMAT = "Format not on whitelist"  # it recognises the file, as something that we did not allow
_NO_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails
_CHUNK_BYTES = 1 << 20


def quiet_ffmpeg() -> None:
    """Call at worker start. Nothing of ffmpeg's log is printed, and only its last error is kept, for our messages; passing every line
    to Python's logging can deadlock a worker (PyAV's documentation of `av.logging`)."""
    av.logging.set_level(av.logging.PANIC)


def prepare_worker() -> None:
    """Once per worker that decodes: ffmpeg silent, OpenCV on one thread as the decoder is (parallelism is by video). Raises SetupError
    where a package of the core is missing."""
    try:
        import cv2
        import PIL.Image

        if find_spec("scenedetect") is None:  # imported where it is used only: it takes a tenth of a second
            raise ModuleNotFoundError("No module named 'scenedetect'", name="scenedetect")
    except ImportError as error:
        raise SetupError(f"{error.name or error} cannot be imported ({error}); run `pip install internvid-pipeline`") from error
    del PIL
    cv2.setNumThreads(1)
    quiet_ffmpeg()


def open_media(path: Path, limits: MediaLimits) -> InputContainer:
    """The file as a PyAV container, to be closed by the caller; its header is within `limits`.

    Only the protocol `file` and DEMUXERS are allowed, so that a playlist or script dressed as a video reads nothing else. Raises
    UnreadableMedia, MediaLimitError; OSError where the machine is at fault (`errors.is_machine_fault`).
    """
    _check_regular_file(path)
    quiet_ffmpeg()
    _check_outline(path, limits)
    # metadata_errors: titles in the wrong encoding are common and no reason to refuse the video.
    with translated(path, UnreadableMedia, "not readable as a video"):
        container = av.open(f"file:{path}", "r", options=_options(limits), metadata_errors="replace")
    try:
        _check_header(container, limits)
    except BaseException:
        container.close()
        raise
    return container


def video_stream(container: InputContainer) -> av.VideoStream | None:
    """The picture: the first video stream marked as default, else the first. Cover art is none. Its decoder is set to one thread:
    results do not depend on the machine, and parallelism is by video. Raises UnreadableMedia where we have no decoder for it."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _NO_PICTURE]
    if not streams:
        return None
    stream = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise UnreadableMedia("its video is in a codec that this ffmpeg cannot decode; convert it to H.264 first")
    if not stream.time_base or stream.time_base <= 0:
        raise UnreadableMedia(f"its time base is {stream.time_base}; it should be a positive fraction of a second")
    stream.codec_context.thread_count = 1
    return stream


def packets_of(container: InputContainer, *streams: av.VideoStream | av.AudioStream) -> "Iterator[av.Packet[Any]]":
    """Packets of these streams in file order, as `demux` gives them. Those of all others are passed over, unread where the container allows
    it: a quarter to a third of the cost of reading, and what is broken in them disturbs nobody."""
    chosen = {stream.index for stream in streams}
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in chosen else Discard.all
    return container.demux(*streams)


def audio_stream(container: InputContainer) -> av.AudioStream | None:
    """The sound: the first audio stream marked as default, else the first; None where there is none that we can decode."""
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None and stream.time_base]
    stream = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0] if streams else None)
    if stream is not None:
        stream.codec_context.thread_count = 1
    return stream


def _options(limits: MediaLimits) -> dict[str, str]:
    """For the demuxer, and for the decoders that it opens to find out the streams. `enable_drefs` and `use_absolute_path` (media in other
    files) are off by default; they are named here so that no other default can turn them on."""
    return {
        "protocol_whitelist": "file",
        "format_whitelist": DEMUXERS,
        "enable_drefs": "0",
        "use_absolute_path": "0",
        "max_pixels": str(limits.max_pixels),
        "max_streams": str(limits.max_streams + 1),  # beyond, streams are passed over; one too many tells us
        "probesize": str(limits.probe_bytes),
        "analyzeduration": str(round(limits.probe_s * 1e6)),
        "threads": "1",  # a decoder of frames in parallel holds several of them
    }


@contextlib.contextmanager
def translated(path: Path, kind: type[ItemError], what: str) -> Iterator[None]:
    """Errors of ffmpeg as `kind`, with its own last words; OSErrors of the machine (full disk, no file handles) as they are."""
    try:
        yield
    except FFmpegError as error:
        if is_machine_fault(error) and not (error.errno == 5 and _disk_reads(path)):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise kind(f"{what}: {last_words(error, path)}") from error
    except (MemoryError, UnicodeError) as error:
        raise kind(f"{what}: {type(error).__name__} {error}") from error


def last_words(error: FFmpegError, path: Path) -> str:
    """What ffmpeg said, in one line without the path: `moov atom not found`."""
    log: Any = error.log  # (level, name, message), whatever PyAV's type stub says
    logged = log[2] if log else ""
    words = " ".join(str(logged or error.strerror or error).replace(str(path), path.name).split())
    if words == _NO_WORDS:
        return "no media data found; it may be cut short, or no video at all"
    if words.startswith(_OTHER_FORMAT):
        return "a playlist, script, subtitle or another format that is not read; convert it to mp4 first"
    return words[:_MAX_WORDS].rstrip(".") or type(error).__name__


def _check_regular_file(path: Path) -> None:
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except (OSError, ValueError) as error:
        if is_machine_fault(error):
            raise
        raise UnreadableMedia(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
        raise UnreadableMedia("is a folder, pipe or device; give a video file")
    if status.st_size == 0:
        raise UnreadableMedia("is empty (0 bytes)")


def _check_outline(path: Path, limits: MediaLimits) -> None:
    """What ffmpeg would spend gigabytes or hours on before it tells us."""
    try:
        claimed = outline(path)
    except OSError as error:
        if is_machine_fault(error):
            raise
        raise UnreadableMedia(f"cannot be read: {error.strerror or error}") from error
    if claimed.num_tracks > limits.max_streams:
        raise MediaLimitError(f"has {claimed.num_tracks} streams, allowed are {limits.max_streams} (limits.max_streams)")
    if claimed.most_edits > limits.max_edits:
        raise MediaLimitError(f"has an edit list of {claimed.most_edits} entries, allowed are {limits.max_edits} (limits.max_edits)")


def _check_header(container: InputContainer, limits: MediaLimits) -> None:
    count = len(container.streams)
    if count == 0:
        raise UnreadableMedia("holds no streams")
    if count > limits.max_streams:
        raise MediaLimitError(f"has more than {limits.max_streams} streams (limits.max_streams)")
    check_length((container.duration or 0) / 1e6, limits)
    for stream in container.streams.video:
        if stream.codec_context is not None:
            check_size(stream.codec_context.width, stream.codec_context.height, limits)
        if stream.duration and stream.time_base:
            check_length(float(stream.duration * stream.time_base), limits)
        if stream.average_rate and stream.average_rate > limits.max_fps:
            fps = float(stream.average_rate)
            raise MediaLimitError(f"claims {fps:.0f} frames per second, allowed are {limits.max_fps:.0f} (limits.max_fps)")
        if stream.frames > limits.max_frames:
            raise MediaLimitError(f"claims {stream.frames} frames, allowed are {limits.max_frames} (limits.max_frames)")
    for sound in container.streams.audio:
        if sound.codec_context is not None and sound.codec_context.sample_rate:  # 0: not known yet
            check_sound(sound.codec_context.sample_rate, sound.codec_context.layout.nb_channels, limits)


def check_length(seconds: float, limits: MediaLimits) -> None:
    """Raises MediaLimitError for a video that is too long."""
    if seconds > limits.max_duration_s:
        raise MediaLimitError(f"claims to last {seconds:.0f} s, allowed are {limits.max_duration_s:.0f} (limits.max_duration_s)")


def check_sound(rate_hz: int, channels: int, limits: MediaLimits) -> None:
    """Raises MediaLimitError for sound that no machine makes: a second of it at 1 Hz would become 48,000 samples for each that is read."""
    if not limits.min_audio_hz <= rate_hz <= limits.max_audio_hz:
        allowed = f"{limits.min_audio_hz} to {limits.max_audio_hz} (limits.min_audio_hz, limits.max_audio_hz)"
        raise MediaLimitError(f"has sound of {rate_hz} samples a second, allowed are {allowed}")
    if channels > limits.max_audio_channels:
        raise MediaLimitError(f"has sound of {channels} channels, allowed are {limits.max_audio_channels} (limits.max_audio_channels)")


def check_size(width_px: int, height_px: int, limits: MediaLimits) -> None:
    """Raises MediaLimitError for a picture that is too large."""
    if max(width_px, height_px) > limits.max_side_px:
        raise MediaLimitError(f"pictures of {width_px}x{height_px} px, allowed are sides up to {limits.max_side_px} (limits.max_side_px)")
    if width_px * height_px > limits.max_pixels:
        raise MediaLimitError(f"pictures of {width_px}x{height_px} px, allowed are {limits.max_pixels} pixels (limits.max_pixels)")


def _disk_reads(path: Path) -> bool:
    """True where every byte of the file can be read: then ffmpeg's "input/output error" is about the file's structure, not the disk."""
    try:
        with path.open("rb") as file:
            while file.read(_CHUNK_BYTES):
                pass
    except OSError:
        return False
    return True
