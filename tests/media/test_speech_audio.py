"""Sound as speech recognisers take it: 16 kHz, one channel, whatever the file holds."""

import itertools
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from internvid_pipeline.errors import UnreadableMedia
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.speech_audio import audio_tracks, choose_tracks, read_sound
from tests.media.made import Made, Track, beeps, shots_of, write_video
from tests.media.test_audio import starts_s

LIMITS = MediaLimits()


def sound_of(path: Path, block_s: float = 10.0) -> tuple[int, np.ndarray]:
    blocks = list(read_sound(path, audio_tracks(path, LIMITS)[0].index, LIMITS, block_s))
    for one, other in itertools.pairwise(blocks):
        assert one.start + one.samples.shape[0] == other.start
    return blocks[0].start, np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "layout"),
    [("mp4", "aac", 44100, "stereo"), ("webm", "libopus", 48000, "mono"), ("mkv", "flac", 96000, "stereo"), ("ts", "mp2", 32000, "mono")],
)
def test_any_codec_rate_and_layout(tmp_path: Path, suffix: str, codec: str, rate: int, layout: str):
    """Beeps at 0.3 and 1.1 s of a track that starts at 0.5 s."""
    mono = beeps([0.3, 1.1], 2.0, rate)
    samples = np.concatenate([mono, mono]) if layout == "stereo" else mono
    made = Made(codec="libvpx" if suffix == "webm" else "libx264", tracks=[Track(samples, rate, 0.5, codec)])
    path = write_video(tmp_path / f"v.{suffix}", shots_of([75], 160, 90), made)
    start, found = sound_of(path)
    with av.open(str(path)) as container:
        first_s = float((container.streams.video[0].start_time or 0) * container.streams.video[0].time_base)
    assert found.dtype == np.float32 and found.ndim == 1
    heard = [start / 16_000 + time_s for time_s in starts_s(found[None], 16_000)]
    assert np.allclose(heard, [first_s + 0.8, first_s + 1.6], atol=0.004)


def test_blocks_make_no_difference(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", shots_of([75], 160, 90), Made(tracks=[Track(beeps([0.2, 1.7], 3.0))]))
    whole = sound_of(path)
    assert np.array_equal(whole[1], sound_of(path, 0.37)[1]) and whole[0] == sound_of(path, 0.37)[0]


def test_tracks_are_chosen_by_language_or_default(tmp_path: Path):
    tracks = [Track(beeps([at], 2.0), codec="aac", language=code) for at, code in ((0.2, "fra"), (0.7, "eng"), (1.2, ""))]
    path = write_video(tmp_path / "v.mkv", shots_of([50], 160, 90), Made(tracks=tracks))
    found = audio_tracks(path, LIMITS)
    assert [track.language for track in found][:2] == ["fre", "eng"] or [track.language for track in found][:2] == ["fra", "eng"]
    assert [track.is_default for track in found] == [True, False, False]
    assert [track.index for track in choose_tracks(found, ["default"])] == [1]
    assert [track.index for track in choose_tracks(found, ["en-GB"])] == [2]
    assert [track.index for track in choose_tracks(found, ["all"])] == [1, 2, 3]
    assert choose_tracks(found, ["ja"]) == []
    samples = np.concatenate([block.samples for block in read_sound(path, 2, LIMITS)])
    assert np.allclose(starts_s(samples[None], 16_000), [0.7], atol=0.03)


def test_sound_far_from_zero_costs_nothing_before_it(tmp_path: Path):
    """A transport stream whose clock starts at 26 hours."""
    path = tmp_path / "late.ts"
    write_video(
        path,
        shots_of([50], 160, 90),
        Made(
            time_base=Fraction(1, 90000),
            pts=[8_424_000_000 + 3600 * i for i in range(50)],
            tracks=[Track(beeps([0.5], 2.0), start_s=93600)],
        ),
    )
    start, samples = sound_of(path)
    assert start / 16_000 == pytest.approx(93600, abs=3) and samples.shape[0] < 16_000 * 3


def test_memory_does_not_grow_with_the_length(tmp_path: Path):
    peaks = []
    for seconds in (30, 300):
        path = tmp_path / f"{seconds}.mka"
        with av.open(str(path), "w", format="matroska") as container:
            stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            for number in range(seconds):
                frame = av.AudioFrame.from_ndarray(np.full((1, 16_000), 1000, np.int16), "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 16_000, number * 16_000, Fraction(1, 16_000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        tracemalloc.start()
        assert sum(block.samples.shape[0] for block in read_sound(path, 0, LIMITS)) == seconds * 16_000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000


def test_no_sound_and_no_media(tmp_path: Path):
    assert audio_tracks(write_video(tmp_path / "v.mp4", shots_of([10], 160, 90)), LIMITS) == []
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(UnreadableMedia):
        audio_tracks(tmp_path / "text.mp4", LIMITS)
