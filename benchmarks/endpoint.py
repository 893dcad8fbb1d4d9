"""What a captioner behind an HTTP endpoint gets out of it: 5,000 captions from a server on loopback that is slow, answers out of order, and
now and then says 429, 500, no JSON, or cuts the connection. Every answer is compared with the one that belongs to the clip.

    python benchmarks/endpoint.py [--captions 5000] [--in-flight 64] [--latency 0.5] [--faults 1]

`busy`: the share of the server's places that were at work between its first and its last answer; what the client leaves idle is the rest.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from internvid_pipeline.models import VideoFrames, build_video_captioner
from stages.caption_clips import WINDOW
from tests.models.chat_server import Behaviour, ChatServer, caption_of, endpoint_preset

_FRAME_BYTES = 15_000  # of a JPEG of 384 x 216 pixels
_FRAMES = 8


def main() -> None:
    """Asks, compares, prints one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=5000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.5, help="mean seconds that the server works on a clip; 0.5 to 1.5 times that")
    parser.add_argument("--faults", type=float, default=1.0, help="times 5 %% 429, 2 %% 500, 1 %% cut, 1 %% no JSON")
    asked = parser.parse_args()
    shares = {"busy": 0.05, "fails": 0.02, "cuts": 0.01, "garbles": 0.01}
    behaviour = Behaviour(latency_s=asked.latency, slots=asked.in_flight, **{name: asked.faults * share for name, share in shares.items()})
    started, wrong = time.monotonic(), 0
    with ChatServer(behaviour) as server:
        captioner = build_video_captioner(endpoint_preset(server.url, max_in_flight=asked.in_flight, timeout_s=60.0))
        waiting = []
        for number in range(asked.captions):  # as a worker does: a window of clips is under way, answers are taken in order
            waiting.append((number, captioner.prepared(_clip(number), "describe")))
            if len(waiting) >= WINDOW * asked.in_flight:
                wrong += _settle(captioner, [waiting.pop(0)])
        wrong += _settle(captioner, waiting)
        wall_s = time.monotonic() - started
        stats = server.stats()
    busy = stats["busy_s"] / (asked.in_flight * (stats["last_s"] - stats["first_s"]))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print("| captions | wrong | in flight | requests | wall s | captions/s | server's places busy | client's CPU ms per caption |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    cpu_ms = 1000 * (usage.ru_utime + usage.ru_stime) / asked.captions
    found = f"{asked.captions} | {wrong} | {stats['most_in_flight']:.0f} | {stats['requests']:.0f} | {wall_s:.1f}"
    print(f"| {found} | {asked.captions / wall_s:.1f} | {busy:.1%} | {cpu_ms:.1f} |")
    sys.exit(1 if wrong else 0)


def _clip(number: int) -> VideoFrames:
    frames = tuple((b"%d of %d " % (i, number)).ljust(_FRAME_BYTES, b"x") for i in range(_FRAMES))
    return VideoFrames(frames, tuple(0.5 * i for i in range(_FRAMES)), 4.0, f"clip {number}")


def _settle(captioner, waiting) -> int:  # type: ignore[no-untyped-def]
    """Number of wrong answers."""
    answers = captioner.answers([prepared for _, prepared in waiting])
    pairs = zip(answers, waiting, strict=True)
    return sum(answer.text != caption_of(_clip(number).jpegs[0]) for answer, (number, _) in pairs)


if __name__ == "__main__":
    main()
