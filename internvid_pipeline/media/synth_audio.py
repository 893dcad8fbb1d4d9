"""Sound for the made videos: a spoken sentence where the machine has a speech synthesiser, else a melody, and which of the two it is."""

import re
import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.errors import SetupError, UsageError

SAMPLE_RATE_HZ = 16_000  # what speech recognisers take
_SPEAKING_TIMEOUT_S = 60.0
_MELODY_HZ = (262, 330, 392, 523, 392, 330, 294, 349)  # C major, from middle C
_NOTE_S = 0.4


@dataclass(frozen=True, eq=False)
class Sound:
    """Mono samples, int16 (num_samples,), at `sample_rate_hz`. note: what is heard, in words."""

    samples: NDArray[np.int16]
    sample_rate_hz: int
    note: str


def melody(duration_s: float) -> Sound:
    """Soft sine tones of 0.4 s each, up and down a chord."""
    t_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    number = (t_s / _NOTE_S).astype(int)
    envelope = np.sin(np.pi * (t_s % _NOTE_S) / _NOTE_S)  # from silence to silence: no clicks between notes
    wave_form = 0.3 * envelope * np.sin(2 * np.pi * np.asarray(_MELODY_HZ)[number % len(_MELODY_HZ)] * t_s)
    return Sound((wave_form * 32767).astype(np.int16), SAMPLE_RATE_HZ, "a melody of tones")


def speech(sentence: str) -> Sound | None:
    """The English sentence spoken by ffmpeg's flite filter, espeak-ng, espeak or flite: the first found.

    None where the machine has none of them. Raises UsageError for other characters than letters, digits, spaces and `.,?!`, and
    FfmpegError or SetupError where the synthesiser found fails.
    """
    from internvid_pipeline.media.ffmpeg import has_filter

    if not re.fullmatch(r"\w[\w .,?!]*", sentence):  # it becomes part of a filter graph and of a command line
        raise UsageError(f"{sentence!r} cannot be spoken; begin with a letter and use letters, digits, spaces and .,?! only")

    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        if has_filter("flite"):
            _speak_with_filter(sentence, wav)
            return _read_wav(wav, "ffmpeg's flite filter")
        for program in ("espeak-ng", "espeak", "flite"):
            path = shutil.which(program)
            if path:
                _run_program([path, "-o", str(wav), "-t", sentence] if program == "flite" else [path, "-w", str(wav), sentence])
                return _read_wav(wav, program)
    return None


def speech_or_melody(sentence: str, duration_s: float) -> Sound:
    """`speech`, or a melody of `duration_s` where nothing can speak; the note says which."""
    spoken = speech(sentence)
    if spoken is not None:
        return spoken
    tones = melody(duration_s)
    return Sound(tones.samples, tones.sample_rate_hz, f"{tones.note} (no flite or espeak-ng on this machine to speak)")


def _speak_with_filter(sentence: str, wav: Path) -> None:
    import ffmpeg

    from internvid_pipeline.media.ffmpeg import file_url, run_ffmpeg

    source = ffmpeg.input(f"flite=text='{sentence}'", f="lavfi")
    run_ffmpeg(source.output(file_url(wav), acodec="pcm_s16le", ac=1), _SPEAKING_TIMEOUT_S)


def _run_program(command: list[str]) -> None:
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SPEAKING_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{command[0]} cannot speak ({error}); mend it or take it off PATH: a melody does as well") from error


def _read_wav(path: Path, speaker: str) -> Sound:
    with wave.open(str(path), "rb") as reader:
        if (reader.getnchannels(), reader.getsampwidth()) != (1, 2):
            raise SetupError(f"{speaker} gives {reader.getnchannels()} channels of {reader.getsampwidth()} bytes; expected one of 2 bytes")
        samples = np.frombuffer(reader.readframes(reader.getnframes()), np.dtype("<i2")).astype(np.int16)
        return Sound(samples, reader.getframerate(), f"a sentence spoken by {speaker}")
