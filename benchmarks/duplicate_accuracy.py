"""How well near duplicates are found: 2,000 made clips, each encoded and decoded, through the hashes and the stage that compares them.

Two fifths are originals, a third of these in one place and the same things as another one but seen by another camera ("merely similar").
The others are copies of originals: encoded again, scaled, letter-boxed, mirrored, begun half a second later, or several of it at once.
"""

import argparse
import io
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
from shot_scenes import Picture, _things, _view, camera, world

from internvid_pipeline.records import ClipHashRecord, DuplicateRecord, MediaRef, to_table
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Item, WorkerContext
from internvid_pipeline.storage import Root
from stages.hash_clips import frame_hashes

FPS, NUM_FRAMES, SHIFT = 12, 36, 6
KEPT = 8
KINDS = ("encoded again", "scaled", "letter-boxed", "mirrored", "shifted", "scaled, boxed and encoded again")
CAMERAS = ("static", "pan", "tilt", "zoom", "shake", "roll", "fast_pan")


def footage(place: int, seed: int) -> list[Picture]:
    """Three and a half seconds of a place, by a camera and with things of its own."""
    ground, chance = world(np.random.default_rng([place, 7])), np.random.default_rng([seed, 8])
    way, things = camera(str(chance.choice(CAMERAS)), chance), _things(chance, int(chance.integers(0, 4)))
    pictures = []
    for number in range(NUM_FRAMES + SHIFT):
        picture = _view(ground, way(number / FPS))
        for thing in things:
            thing(picture, number / FPS)
        pictures.append(picture)
    return pictures


def altered(pictures: list[Picture], kind: str) -> tuple[list[Picture], str, dict[str, str]]:
    """Pictures, codec and its options of a copy."""
    quick = {"preset": "ultrafast", "crf": "23"}
    if kind == "encoded again":
        return pictures[:NUM_FRAMES], "mpeg4", {"qmin": "12", "qmax": "20"}
    if kind == "scaled":
        return [cv2.resize(one, (160, 90), interpolation=cv2.INTER_AREA) for one in pictures[:NUM_FRAMES]], "libx264", quick
    if kind == "letter-boxed":
        return [cv2.copyMakeBorder(one, 30, 30, 0, 0, cv2.BORDER_CONSTANT) for one in pictures[:NUM_FRAMES]], "libx264", quick
    if kind == "mirrored":
        return [np.ascontiguousarray(one[:, ::-1]) for one in pictures[:NUM_FRAMES]], "libx264", quick
    if kind == "shifted":
        return pictures[SHIFT:], "libx264", quick
    if kind == "original":
        return pictures[:NUM_FRAMES], "libx264", quick
    small = [cv2.resize(one, (192, 108), interpolation=cv2.INTER_AREA) for one in pictures[:NUM_FRAMES]]
    return [cv2.copyMakeBorder(one, 0, 0, 24, 24, cv2.BORDER_CONSTANT) for one in small], "libx264", {"preset": "ultrafast", "crf": "35"}


def encoded(pictures: list[Picture], codec: str, options: dict[str, str]) -> bytes:
    """A whole file."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def hashed(number: int, video: str, data: bytes) -> ClipHashRecord:
    """What hash_clips writes of a clip, whose kept frames have been JPEGs."""
    with av.open(io.BytesIO(data)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    places = [(2 * place + 1) * len(pictures) // (2 * KEPT) for place in range(KEPT)]
    kept = [cv2.imdecode(cv2.imencode(".jpg", pictures[place], [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_COLOR) for place in places]
    height, width = pictures[0].shape[:2]
    frames = frame_hashes(kept, [place / FPS for place in places])
    row = {"clip_id": f"{video}_{number:09d}_{number + 3000:09d}", "video_id": video, "sha256": f"{number:064x}", "frames": frames}
    return ClipHashRecord(**row, duration_s=len(pictures) / FPS, num_pixels=width * height)


class Tables:
    """The set in partitions of a hundred clips."""

    def __init__(self, rows: list[ClipHashRecord]) -> None:
        self.parts = [rows[start : start + 100] for start in range(0, len(rows), 100)]
        self.partitions = range(len(self.parts))

    def table(self, partition: int, record_type: type, columns: Any = None) -> pa.Table:
        """One partition's rows."""
        return to_table(self.parts[partition] if record_type is ClipHashRecord else [], record_type)


def made_set(size: int) -> tuple[list[ClipHashRecord], list[tuple[int, str]]]:
    """Rows, and of each the footage that it shows and its kind."""
    num_originals = size * 2 // 5
    rows, truth = [], []
    copies = [KINDS[number % len(KINDS)] for number in range(size - num_originals)]
    for number in range(num_originals):
        place = number if number % 3 else max(0, number - 1)
        pictures = footage(place, number)
        for kind in ["original", *copies[number::num_originals]]:
            rows.append(hashed(len(rows), f"video{len(rows):05d}", encoded(*altered(pictures, kind))))
            truth.append((number, kind if kind != "original" or number % 3 else "similar"))
    return rows, truth


def found(rows: list[ClipHashRecord], config: dict[str, Any]) -> list[DuplicateRecord]:
    """What the stage says of each."""
    stage, tables = build_stage("deduplicate_clips", config), Tables(rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage.reduce(tables, folder)
        files = {file.name: MediaRef(uri=str(file), size_bytes=file.stat().st_size) for file in folder.glob("*.parquet")}
        stage.setup(WorkerContext(root=Root(name), scratch=folder, resources=stage.resources, reduced_files=files))
        batches = [[Item(row, partition) for row in part] for partition, part in enumerate(tables.parts)]
        return [outcome.records[0] for batch in batches for outcome in stage.process(batch)]


def scores(
    rows: list[ClipHashRecord], truth: list[tuple[int, str]], doubles: list[DuplicateRecord]
) -> tuple[Counter[str], Counter[str], int]:
    """Copies by kind, those found by kind, and links between clips of different footage. A copy is found where it or what it copies
    stands for the other."""
    shows = {row.clip_id: number for row, (number, _) in zip(rows, truth, strict=True)}
    groups: dict[str, list[int]] = {}
    for position, double in enumerate(doubles):
        if double.duplicate_group:
            groups.setdefault(double.duplicate_group, []).append(position)
    false = sum(double.duplicate_of is not None and shows[double.duplicate_of] != shows[double.clip_id] for double in doubles)
    there, hit = Counter[str](), Counter[str]()
    originals = {number: position for position, (number, kind) in enumerate(truth) if kind in ("original", "similar")}
    for position, (number, kind) in enumerate(truth):
        if kind in KINDS:
            there[kind] += 1
            group = doubles[position].duplicate_group
            hit[kind] += group is not None and originals[number] in groups[group]
    return there, hit, false


def main() -> None:
    """Prints a table for benchmarks/README.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--distances", type=int, nargs="*", default=[16, 20, 24, 28, 32, 40])
    asked = parser.parse_args()
    start = time.process_time()
    rows, truth = made_set(asked.clips)
    num_similar = sum(kind == "similar" for _, kind in truth)
    print(f"{len(rows)} clips, {num_similar} merely similar to another; {time.process_time() - start:.0f} CPU s")
    print(f"| bits | precision | recall | {' | '.join(KINDS)} | CPU s |")
    for distance in asked.distances:
        start = time.process_time()
        doubles = found(rows, {"near": {"max_distance": distance}})
        cpu_s = time.process_time() - start
        there, hit, false = scores(rows, truth, doubles)
        links = sum(double.duplicate_of is not None for double in doubles)
        shares = " | ".join(f"{hit[kind] / max(1, there[kind]):.3f}" for kind in KINDS)
        recall, precision = sum(hit.values()) / sum(there.values()), 1 - false / max(1, links)
        print(f"| {distance} | {precision:.4f} ({false} of {links}) | {recall:.3f} | {shares} | {cpu_s:.1f} |")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


if __name__ == "__main__":
    main()
