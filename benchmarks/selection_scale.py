"""Time and memory of InternVid's selections over made tables of many clips, and (--check) the same picks made anew from the rules as they
were published: DIV (div_sampling.py) and both versions of FLT."""

import argparse
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from internvid_pipeline.records import CaptionRecord, VideoRecord, schema_of
from internvid_pipeline.selection import KEPT, DrawRule, Rule, Selection, SetDatabase, decide

CLIPS_PER_VIDEO = 33  # InternVid: 234M clips of 7.1M videos
PARTITION_ROWS = 100_000


class MadeSet:
    """videos: int64 [n], number of each clip's video, clips of one side by side. duration_s, umt_sim, clip_score: float64 [n]."""

    def __init__(self, num_rows: int) -> None:
        chance = np.random.default_rng(20261121)
        counts = chance.geometric(1 / CLIPS_PER_VIDEO, num_rows // CLIPS_PER_VIDEO * 2 + 10)
        self.videos = np.repeat(np.arange(len(counts)), counts)[:num_rows]
        self.duration_s = np.round(chance.lognormal(1.6, 1.1, num_rows), 3)
        self.umt_sim = chance.normal(0.35, 0.05, num_rows)
        self.clip_score = chance.normal(0.25, 0.05, num_rows)

    def selections(self) -> dict[str, Selection]:
        """DIV draws a twentieth, as InternVid's 10.6M of 234M."""
        num_rows = len(self.videos)
        draw = Rule(draw=DrawRule(num_clips=num_rows // 20, per_video=True))
        length = Rule(column="duration_s", minimum=1.0, maximum=120.0)
        return {
            "div": Selection(rules=(draw,)),
            "flt-1": Selection(rules=(Rule(column="umt_sim", top_ratio=0.3), draw)),
            "flt-2": Selection(rules=(length, Rule(column="clip_score", top_ratio=0.3), draw)),
        }

    def parts(self) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Tables of clips and scores."""
        for start in range(0, len(self.videos), PARTITION_ROWS):
            own = slice(start, start + PARTITION_ROWS)
            names = np.char.add("c", np.arange(start, start + len(self.videos[own])).astype(str))
            videos = np.char.add("video-", self.videos[own].astype(str))
            clips = pa.table({"clip_id": names, "video_id": videos, "duration_s": self.duration_s[own]})
            scorers = ["umt_sim"] * len(names) + ["clip_score"] * len(names)
            values = np.concatenate([self.umt_sim[own], self.clip_score[own]])
            yield clips, pa.table({"clip_id": np.concatenate([names, names]), "scorer": scorers, "value": values})


def kept_clips(made: MadeSet, folder: Path, memory_mb: int) -> dict[str, NDArray[np.bool_]]:
    """bool [n] for each selection."""
    selections = made.selections()
    columns = [column for selection in selections.values() for column in selection.columns]
    found = {name: np.zeros(len(made.videos), bool) for name in selections}
    with SetDatabase(columns, folder, memory_mb) as database:
        nothing = [schema_of(kind).empty_table() for kind in (VideoRecord, CaptionRecord)]
        for partition, (clips, scores) in enumerate(made.parts()):
            database.add(partition, clips, *nothing, scores)
        database.build()
        for batch in decide(database, selections):
            table = pa.Table.from_batches([batch])
            table = table.filter(pa.compute.equal(table["rule"], KEPT))
            for name in found:
                own = table.filter(pa.compute.equal(table["selection"], name))["clip_id"].to_pylist()
                found[name][[int(clip[1:]) for clip in own]] = True
    return found


def published_div(videos: list[str], num_draws: int) -> NDArray[np.int64]:
    """div_sampling.py's rule: weight 1 / (clips of the video in the pool), normalised, seed 42, without replacement."""
    counts = Counter(videos)
    weights = np.array([1 / counts[video] for video in videos])
    weights = weights / weights.sum()
    np.random.seed(42)
    return np.random.choice(len(videos), min(num_draws, len(videos)), replace=False, p=weights)


def expected_clips(made: MadeSet) -> dict[str, NDArray[np.bool_]]:
    """The same selections without the library."""
    num_rows = len(made.videos)

    def drawn(pool: NDArray[np.int64]) -> NDArray[np.bool_]:
        chosen = np.zeros(num_rows, bool)
        chosen[pool[published_div([f"v{made.videos[number]}" for number in pool], num_rows // 20)]] = True
        return chosen

    def top(pool: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.sort(pool[np.argsort(-values[pool], kind="stable")[: int(len(pool) * 0.3)]])

    everything = np.arange(num_rows)
    lengths = everything[(made.duration_s >= 1) & (made.duration_s <= 120)]
    return {"div": drawn(everything), "flt-1": drawn(top(everything, made.umt_sim)), "flt-2": drawn(top(lengths, made.clip_score))}


def main() -> None:
    """Prints a row for benchmarks/README.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory-mb", type=int, default=4000)
    parser.add_argument("--check", action="store_true", help="make the picks anew in plain NumPy and compare")
    asked = parser.parse_args()
    made = MadeSet(asked.rows)
    base_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    cpu, wall = time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        kept = kept_clips(made, Path(folder), asked.memory_mb)
    cpu_s, wall_s = time.process_time() - cpu, time.monotonic() - wall
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    counts = ", ".join(f"{name} {int(chosen.sum()):,}" for name, chosen in kept.items())
    same = "not made anew"
    if asked.check:
        expected = expected_clips(made)
        same = ", ".join(f"{name} {int((kept[name] != expected[name]).sum())}" for name in kept)
    print(f"| {asked.rows:,} | {cpu_s:.1f} | {wall_s:.1f} | {peak_mb:.0f} ({base_mb:.0f} before) | {counts} | {same} |")


if __name__ == "__main__":
    main()
