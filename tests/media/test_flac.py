"""Sound as FLAC."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from internvid_pipeline.media.flac import flac_of
from tests.media.made import Made, Track, beeps, shots_of, write_video


def test_a_beep_lies_where_it_was(tmp_path: Path):
    """A beep at 0.7 s of a video of 3.6 s."""
    made = Made(time_base=Fraction(1, 1000), pts=[40 * number for number in range(90)], tracks=[Track(beeps([0.7], 3.6))])
    path = write_video(tmp_path / "v.mp4", shots_of([90]), made)
    data = flac_of(path.read_bytes(), tmp_path)
    assert data is not None and sorted(file.name for file in tmp_path.iterdir()) == ["v.mp4"]
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.channels) == ("flac", 16_000, 1)
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)]) / 32768
    assert abs(len(samples) / 16_000 - 3.6) < 0.05
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    assert abs(loud[0] / 16_000 - 0.7) < 0.005


def test_no_sound_is_none(tmp_path: Path):
    """And leaves nothing behind."""
    path = write_video(tmp_path / "v.mp4", shots_of([30]), Made(time_base=Fraction(1, 1000), pts=[40 * number for number in range(30)]))
    assert flac_of(path.read_bytes(), tmp_path) is None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["v.mp4"]
