"""One clip as an mp4 file: exact times, index first, the same bytes on every run. Pictures and sound come as packets from elsewhere."""

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from av.container import OutputContainer
from av.error import FFmpegError

from internvid_pipeline.errors import DamagedMedia, StorageError, is_machine_fault
from internvid_pipeline.media.container import packets_of

# fflags bitexact: no encoder version, no random ids. faststart: the index first, so that a reader of a byte range finds it.
_CONTAINER_OPTIONS = {"fflags": "+bitexact", "movflags": "+faststart"}
_MAX_TIMESCALE = (1 << 31) - 1
_SOUND_STEP_S = Fraction(1, 2)  # pictures and sound lie this close together in the file


class ClipSound(Protocol):
    """The sound of one clip, written as far as its pictures have come, so that neither waits in memory."""

    def open(self, container: OutputContainer) -> None:
        """Adds its stream; before the first packet of the clip."""

    def until(self, seconds: Fraction | None) -> "Sequence[av.Packet[Any]]":
        """The packets up to `seconds` of the clip that were not given yet; None: all that are left."""


class ClipFile:
    """Packets in, mp4 out. time_base: of the clip's pictures; edit lists count in it. Leave by `finish`, or by `abandon` which deletes
    the file."""

    def __init__(self, path: Path, time_base: Fraction, sound: ClipSound | None) -> None:
        self.path, self._time_base, self._sound = path, time_base, sound
        self._sound_due = 0
        # Edit lists count in the movie's time scale; at its default of milliseconds they would cut clips short by a fraction of one.
        options = _CONTAINER_OPTIONS | {"movie_timescale": str(max(1000, min(time_base.denominator, _MAX_TIMESCALE)))}
        with self.writing():
            self.container = av.open(f"file:{path}", "w", format="mp4", container_options=options)

    def open_sound(self) -> None:
        """After the stream of the pictures was added."""
        if self._sound is not None:
            self._sound.open(self.container)

    def mux(self, packets: "Sequence[av.Packet[Any]]", shown_until: int | None) -> None:
        """Pictures, and the sound up to `shown_until` of the clip, in `time_base` (None: to its end)."""
        sound: Sequence[av.Packet[Any]] = ()
        if self._sound is not None and (shown_until is None or shown_until >= self._sound_due):
            sound = self._sound.until(None if shown_until is None else shown_until * self._time_base)
            self._sound_due = (shown_until or 0) + int(_SOUND_STEP_S / self._time_base)
        with self.writing():
            self.container.mux(packets)
            self.container.mux(sound)

    def finish(self) -> None:
        """Writes the index."""
        with self.writing():
            self.container.close()

    def abandon(self) -> None:
        """Closes and deletes the file."""
        try:
            self.container.close()
        except (FFmpegError, OSError) as error:
            if is_machine_fault(error):
                raise
        finally:
            if self.path.is_file():
                self.path.unlink()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """What goes wrong with the file that is written is the machine's fault and never the video's."""
        try:
            yield
        except OSError as error:
            if is_machine_fault(error):
                raise
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}") from error


def verify(path: Path, num_frames: int, last_pts: int, end_pts: int, time_base: Fraction) -> None:
    """Reads a clip's packets back. last_pts: when its last frame begins; end_pts: when it ends; in `time_base`, from the clip's start on.
    Raises DamagedMedia where the number of frames or one of the times is not as asked."""
    with av.open(f"file:{path}", "r", options={"protocol_whitelist": "file", "format_whitelist": "mov"}) as container:
        stream = container.streams.video[0]
        unit = Fraction(stream.time_base or 1)
        packets = packets_of(container, stream)
        shown = [packet.pts for packet in packets if packet.pts is not None and packet.size > 0 and not packet.is_discard]
        length = (stream.duration or 0) * unit
    first, last = min(shown, default=0) * unit, max(shown, default=0) * unit
    late = abs(length - end_pts * time_base) > unit
    if len(shown) != num_frames or len(set(shown)) != num_frames or first != 0 or last != last_pts * time_base or late:
        raise DamagedMedia(
            f"clip {path.name} came out wrong: {len(shown)} frames from {float(first):.6f} to {float(last):.6f} s, "
            f"{float(length):.6f} s long, "
            f"wanted {num_frames} from 0 to {float(last_pts * time_base):.6f} s, {float(end_pts * time_base):.6f} s long"
        )
