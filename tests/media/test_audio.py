"""The sound as one gapless row of samples on the container's clock."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from internvid_pipeline.media.audio import SoundReader, aac_rate
from internvid_pipeline.media.container import audio_stream, open_media
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.probe import probe
from tests.media.made import Made, Track, beeps, shots_of, write_video


def reader(path: Path) -> SoundReader:
    container = open_media(path, MediaLimits())
    stream = audio_stream(container)
    assert stream is not None
    return SoundReader(path, container, stream)


def starts_s(samples: np.ndarray, rate: int) -> list[float]:
    """When bursts begin: the first loud sample after 20 ms of silence."""
    loud = np.flatnonzero(np.abs(samples[0]) > 0.2)
    firsts = loud[np.concatenate([[True], np.diff(loud) > rate // 50])] if len(loud) else loud
    return [int(first) / rate for first in firsts]


def test_rates_that_aac_takes():
    assert [aac_rate(rate) for rate in (44100, 8000, 96000, 11025, 37000, 192000)] == [44100, 8000, 48000, 11025, 48000, 48000]


def test_samples_lie_where_they_are_heard(tmp_path: Path):
    """Beeps at 0.25 and 1.5 s of a track that starts at 0.5 s: heard at 0.75 and 2.0 s. PCM: exact to the sample."""
    track = Track(beeps([0.25, 1.5], 2.0), start_s=0.5, codec="pcm_s16le")
    sound = reader(write_video(tmp_path / "v.mkv", shots_of([75]), Made(tracks=[track])))
    assert sound.sounds_before(48000) and not sound.sounds_before(12000)
    samples = sound.read(48000 * 3)
    assert samples.shape == (1, 120_000)  # 0 to 2.5 s: half a second of silence, then the track to its end
    assert np.abs(samples[:, : round(0.5 * 48000)]).max() == 0
    assert np.allclose(starts_s(samples, 48000), [0.75, 2.0], atol=0.0005)
    assert sound.read(48000 * 4).shape == (1, 0)


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"), [("mp4", "aac", 44100), ("webm", "libopus", 48000), ("mkv", "flac", 96000), ("ts", "mp2", 32000)]
)
def test_codecs_and_rates(tmp_path: Path, suffix: str, codec: str, rate: int):
    """Beeps at 0.3 and 1.1 s within 2 ms in every container, resampled where AAC does not take the rate."""
    track = Track(beeps([0.3, 1.1], 2.0, rate), rate, codec=codec)
    made = Made(codec="libvpx" if suffix == "webm" else "libx264", tracks=[track])
    path = write_video(tmp_path / f"v.{suffix}", shots_of([50], 160, 90), made)
    info = probe(path)
    assert info.video is not None
    sound = reader(path)
    assert sound.rate_hz == min(rate, 48000)
    found = starts_s(sound.read(sound.rate_hz * 4), sound.rate_hz)
    assert np.allclose(found, [info.video.start_s + 0.3, info.video.start_s + 1.1], atol=0.002)  # TS does not start at 0


@pytest.fixture(scope="module")
def surround(tmp_path_factory: pytest.TempPathFactory) -> Path:
    track = Track(beeps([0.1, 0.7, 1.3], 1.8, channels=6), layout="5.1")
    return write_video(tmp_path_factory.mktemp("surround") / "v.mp4", shots_of([45], 160, 90), Made(tracks=[track]))


def test_surround_becomes_stereo(surround: Path):
    sound = reader(surround)
    assert (sound.channels, sound.layout) == (2, "stereo")
    assert np.allclose(starts_s(sound.read(96_000), 48000), [0.1, 0.7, 1.3], atol=0.002)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=12), st.integers(0, 40_000))
def test_any_steps_give_the_same_samples(surround: Path, steps: list[int], start: int):
    """Reading in pieces, from any start, is reading at once."""
    whole = reader(surround).read(100_000)
    sound = reader(surround)
    sound.start_at(start)
    end, pieces = start, []
    for step in steps:
        end += step
        pieces.append(sound.read(end))
    got = np.concatenate(pieces, axis=1)
    assert np.array_equal(got, whole[:, start : start + got.shape[1]])
    assert got.shape[1] == min(end, whole.shape[1]) - min(start, whole.shape[1]) or end <= start


def test_forward_only(surround: Path):
    sound = reader(surround)
    sound.read(1000)
    with pytest.raises(ValueError, match="forward only"):
        sound.start_at(999)


def test_a_gap_is_silence(tmp_path: Path):
    """Two tracks' worth of PCM with a hole of 0.5 s: the beep after the hole stays where it was."""
    path = tmp_path / "gap.mkv"
    samples = beeps([0.2, 1.5], 2.0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        for position in range(0, 96_000, 1920):
            if 24_000 <= position < 48_000:
                continue
            chunk = (samples[:, position : position + 1920] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(chunk, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, position, Fraction(1, 48000)
            for packet in stream.encode(frame):
                container.mux(packet)
    sound = reader(path)
    heard = sound.read(96_000)
    assert heard.shape[1] == 96_000 and np.allclose(starts_s(heard, 48000), [0.2, 1.5], atol=0.002)
    assert np.abs(heard[:, 25_000:47_000]).max() == 0
