"""What a captioner behind an HTTP endpoint gets out of it: 5,000 captions from a server on loopback that is slow, answers out of order, and
now and then says 429, 500, no JSON, or cuts the connection. Every answer is compared with the one that belongs to the clip.

    python benchmarks/endpoint.py [--captions 5000] [--in-flight 64] [--latency 0.5] [--faults 1]

`bare` is a client that does nothing else: as many connections, requests that were written beforehand, the next one the moment that an
answer or a fault is there. What it gets is what the server can give on this machine. `stage` is caption_clips as a worker runs it, from
JPEGs in a tar to rows. `busy`: the share of the server's places that were at work between its first and its last answer.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "gpu"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import shapes

from internvid_pipeline.config import validated
from internvid_pipeline.engine.workers.worker import StageWorker
from internvid_pipeline.models import VideoFrames, read_jpegs
from internvid_pipeline.models.caption_scales import CaptionClipsConfig
from internvid_pipeline.models.endpoint_video import request_of
from internvid_pipeline.records import ClipRecord, FrameRef, MediaRef
from internvid_pipeline.stage import Emit, Item, WorkerContext
from internvid_pipeline.storage import Root
from stages.caption_clips import CaptionClips
from tests.models.chat_server import Behaviour, ChatServer, caption_of, endpoint_preset

_FRAME_BYTES = 15_000  # of a JPEG of 384 x 216 pixels; nobody decodes them here
_PROMPT = "Describe this video in one or two sentences."


def main() -> None:
    """Asks, compares, prints a table of two lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=5000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.5, help="mean seconds that the server works on a clip; 0.5 to 1.5 times that")
    parser.add_argument("--faults", type=float, default=1.0, help="times 5 %% 429, 2 %% 500, 1 %% cut, 1 %% no JSON")
    asked = parser.parse_args()
    print(
        "| client | captions | wrong | requests | wall s | captions/s | of the bare client's | server's places busy | CPU ms per caption |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        clips = _clips(Path(folder), asked.captions)
        bare, _ = _measured("bare", lambda url: _bare(url, asked.captions, asked.in_flight, Path(folder), clips), asked, None)
        _, wrong = _measured("stage", lambda url: _stage(url, asked.in_flight, Path(folder), clips), asked, bare)
    sys.exit(1 if wrong else 0)


def _measured(name: str, run: Any, asked: argparse.Namespace, bare: float | None) -> tuple[float, int]:
    """Captions a second, and wrong ones, of a client; prints its line."""
    shares = {"busy": 0.05, "fails": 0.02, "cuts": 0.01, "garbles": 0.01}
    behaviour = Behaviour(latency_s=asked.latency, slots=asked.in_flight, **{one: asked.faults * share for one, share in shares.items()})
    before = _cpu_s()
    with ChatServer(behaviour) as server:
        started = time.monotonic()
        wrong = run(server.url)
        wall_s = time.monotonic() - started
        cpu_ms = 1000 * (_cpu_s() - before) / asked.captions
        stats = server.stats()
    rate = asked.captions / wall_s
    busy = stats["busy_s"] / (asked.in_flight * (stats["last_s"] - stats["first_s"]))
    share = f"{rate / bare:.1%}" if bare else "100 %"
    found = f"{asked.captions} | {wrong} | {stats['requests']:.0f} | {wall_s:.1f} | {rate:.1f}"
    print(f"| {name}, {stats['most_in_flight']:.0f} in flight | {found} | {share} | {busy:.1%} | {cpu_ms:.1f} |", flush=True)
    return rate, wrong


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _clips(root: Path, count: int) -> list[ClipRecord]:
    """Clips of eight frames in one file; the first names the clip, the others are shared."""
    found = []
    with open(root / "frames.tar", "wb") as file:
        for i in range(shapes.FRAMES):
            file.write((b"%d of all " % i).ljust(_FRAME_BYTES, b"x"))
        for number in range(count):
            file.write((b"first of %d " % number).ljust(_FRAME_BYTES, b"x"))
            places = [shapes.FRAMES + number, *range(1, shapes.FRAMES)]
            media = [MediaRef(uri="frames.tar", offset_bytes=place * _FRAME_BYTES, size_bytes=_FRAME_BYTES) for place in places]
            found.append(shapes.clip_of(f"clip{number:05d}", tuple(_frame(i, ref) for i, ref in enumerate(media))))
    return found


def _frame(number: int, media: MediaRef) -> FrameRef:
    return FrameRef(frame=12 * number + 6, time_s=0.5 * number + 0.25, width_px=384, height_px=216, media=media)


def _stage(url: str, in_flight: int, root: Path, clips: list[ClipRecord]) -> int:
    """The stage as a worker runs it. Returns the number of wrong captions."""
    preset = endpoint_preset(url, max_in_flight=in_flight, timeout_s=60.0)
    fields = {"coarse": None, "fine": None, "fused": None, "vlm": {"model": preset.model_dump(), "prompt": _PROMPT, "num_frames": 8}}
    stage = CaptionClips(validated(CaptionClipsConfig, fields, "caption_clips"))
    worker = StageWorker(stage, WorkerContext(root=Root(str(root)), scratch=root / "scratch", resources=stage.resources))
    found: dict[int, Any] = {}
    worker.run([(i, Item(clip)) for i, clip in enumerate(clips)], lambda index: None, found.__setitem__)
    worker.close()
    texts = {i: outcome.records[0].text for i, outcome in found.items() if isinstance(outcome, Emit)}
    return sum(texts.get(i) != caption_of(read_jpegs(Root(str(root)), clip, clip.frames[:1])[0]) for i, clip in enumerate(clips))


def _bare(url: str, count: int, in_flight: int, root: Path, clips: list[ClipRecord]) -> int:
    """Requests written beforehand, over and over. Returns 0: nobody looks at its answers."""
    jpegs = tuple(read_jpegs(Root(str(root)), clips[0], clips[0].frames))
    body = request_of(endpoint_preset(url), VideoFrames(jpegs, tuple(0.5 * i for i in range(len(jpegs))), 4.0), _PROMPT)
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    left = count

    async def client() -> None:
        nonlocal left
        streams = None
        while left > 0:
            left -= 1
            try:
                streams = streams or await asyncio.open_connection(host, int(port))
                streams[1].write(head + body)
                answer = await streams[0].readuntil(b"\r\n\r\n")
                length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                data = await streams[0].readexactly(length)
                left += not (answer.startswith(b"HTTP/1.1 200") and data.startswith(b"{"))
            except (OSError, asyncio.IncompleteReadError):
                left, streams = left + 1, None

    async def all_of_them() -> None:
        await asyncio.gather(*(client() for _ in range(in_flight)))

    asyncio.run(all_of_them())
    return 0


if __name__ == "__main__":
    main()
