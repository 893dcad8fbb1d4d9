"""Whether the readers of training loaders get exactly the frames of copied, joined and encoded clips: decord and torchcodec, front to
back and at random. `pip install decord==0.6.0 torchcodec==0.13.0`; torchcodec looks for the shared libraries of an ffmpeg (4 to 8).

    python benchmarks/clip_readers.py
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/media/made.py

from internvid_pipeline.media.clip_plan import ClipSettings, ClipSpan
from internvid_pipeline.media.clips import write_clips
from internvid_pipeline.media.scan import scan_video
from tests.media.made import Made, number_of, shots_of, write_video

_SPANS = ((10, 130), (48, 96), (48, 100), (3, 47))


def _decord(path: Path):  # type: ignore[no-untyped-def]
    import decord

    frames = decord.VideoReader(str(path))
    return len(frames), lambda number: frames[number].asnumpy()


def _torchcodec(path: Path):  # type: ignore[no-untyped-def]
    from torchcodec.decoders import VideoDecoder

    frames = VideoDecoder(str(path))
    return len(frames), lambda number: frames[number].permute(1, 2, 0).numpy()


def main() -> None:
    """Prints a line per clip and reader."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = Made(gop=48, options={"sc_threshold": "0", "bf": "3", "b-pyramid": "normal"})
        source = write_video(folder / "source.mp4", shots_of([150]), made)
        scan = scan_video(source, [])
        for start, end in _SPANS:
            (clip,) = write_clips(source, scan, [ClipSpan(start, end, "clip")], folder, ClipSettings())
            for reader in (_decord, _torchcodec):
                count, picture = reader(clip.path)
                forward = [number_of(picture(number)) for number in range(count)] == list(range(start, end))
                order = np.random.default_rng(0).permutation(count)
                at_random = all(number_of(picture(int(number))) == start + number for number in order)
                print(f"[{start}, {end}) {clip.plan.mode.value} {reader.__name__[1:]}: forward {forward}, at random {at_random}")


if __name__ == "__main__":
    main()
