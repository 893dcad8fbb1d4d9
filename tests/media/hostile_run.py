"""Strangers' files through the real stages, up to the clips, and the account of what became of each."""

import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import av

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import load_config
from internvid_pipeline.engine import StatusReader, run_dataset
from internvid_pipeline.engine.outcomes import input_outcomes
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.records import ClipRecord

EXTENSIONS = (
    "mp4,mov,mkv,webm,avi,ts,mpg,flv,wmv,ogv,ivf,h264,y4m,gif,nut,m3u8,mpd,sdp,ffconcat"  # the last four are no videos: that is the point
)
LAST_STAGE = "cut_clips"


@dataclass
class Account:
    """outcomes: by file name, (outcome, reason). wrong: everything that must not be. num_clips, num_frames: written and decoded again."""

    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    num_clips: int = 0
    num_frames: int = 0

    @property
    def counts(self) -> Counter[str]:
        return Counter(outcome for outcome, _ in self.outcomes.values())


def run_hostile(source: Path, root: Path, *more: str) -> Account:
    """Runs the pipeline over a folder, inline but with watched workers, and looks at everything that it says and wrote."""
    partition = ["source.partition_videos=10000", f"source.extensions=[{EXTENSIONS}]"]  # one partition: all files share a worker
    config = load_config("demo", [f"root={root}", f"source.path={source}", *partition, *more])
    report = run_dataset(config, engine="inline", until=LAST_STAGE)
    account = Account(wrong=[f"the run itself: {error}" for error in report.errors])
    opened, _, plans, partitions = open_dataset(str(root))
    names = [plan.name for plan in plans]
    plans = plans[: names.index(LAST_STAGE) + 1]
    for status in StatusReader(opened, plans, partitions).read():
        if status.inputs != status.emitted + status.dropped + status.failed:
            account.wrong.append(f"{status.stage}: {status}")
    for outcome in input_outcomes(opened, plans, partitions):
        name = Path(outcome.uri).name
        if name in account.outcomes:
            account.wrong.append(f"{name} is accounted for twice")
        account.outcomes[name] = outcome.outcome, outcome.reason
        if outcome.outcome not in ("clips", "dropped", "failed") or (outcome.outcome != "clips" and not outcome.reason):
            account.wrong.append(f"{name}: {outcome}")
    for number in partitions:
        for clip in read_rows(opened, plans[-1].folder, number, ClipRecord):
            _check_clip(account, clip, opened.read_media(clip.media))
    return account


def _check_clip(account: Account, clip: ClipRecord, data: bytes) -> None:
    """Every frame that the row promises can be decoded, and there is no other."""
    try:
        with av.open(io.BytesIO(data)) as container:
            frames = sum(1 for _ in container.decode(video=0))
    except av.error.FFmpegError as error:
        account.wrong.append(f"{clip.source_uri}: {clip.clip_id} cannot be decoded: {error}")
        return
    account.num_clips += 1
    account.num_frames += frames
    if frames != clip.num_frames or clip.end_frame - clip.start_frame != clip.num_frames:
        account.wrong.append(f"{clip.source_uri}: {clip.clip_id} has {frames} frames, its row says {clip.num_frames}")


if __name__ == "__main__":
    import sys

    for name, (outcome, reason) in run_hostile(Path(sys.argv[1]), Path(sys.argv[2])).outcomes.items():
        print(name, outcome, reason)
