"""How fast the browser's server answers over very many clips.

    python benchmarks/browse_scale.py [--clips 1000000] [--folder DIR]

Makes a root of made tables (`made_tables.py`, all of them different), serves it with `internvid browse` in a process of its own, and asks
as the page does: 20 times each with other values, over HTTP. Prints milliseconds (median and slowest), the time until the page can be
opened at the first start, at the second, and at one after a partition was added, and the peak of memory of the server.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.made_tables import CLIPS, make_root
from internvid_pipeline.storage import layout

REPOSITORY = Path(__file__).resolve().parents[1]
_ROUNDS = 20
_SEARCHES = ("猫 桌子", "قطة", "red bike")


def ask(url: str, path: str, body: Any = None) -> Any:
    """One question to the server."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"content-type": "application/json"} if data else {})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def questions(url: str) -> dict[str, Callable[[int], Any]]:
    """What the page asks, by name; the number makes each round another question."""
    return {
        "first page: what is there": lambda _: ask(url, "api/set"),
        "first page: clips": lambda _: ask(url, "api/clips", {}),
        "slider: counts": lambda n: ask(url, "api/counts", {"bounds": {"alignment": [0.2 + n / 500, None]}}),
        "slider: clips": lambda n: ask(url, "api/clips", {"wanted": {"bounds": {"alignment": [0.2 + n / 500, None]}}}),
        "slider let go: histograms": lambda n: ask(url, "api/histograms", {"bounds": {"alignment": [0.2 + n / 500, None]}}),
        "filter by language and category: counts": lambda n: ask(
            url, "api/counts", {"languages": ["en", "zh"], "categories": ["Music"], "bounds": {"motion": [n / 10, None]}}
        ),
        "filter by language: histograms": lambda n: ask(url, "api/histograms", {"languages": ["en", "zh", "fr"][: 1 + n % 3]}),
        "filter by language: clips by score": lambda n: ask(
            url,
            "api/clips",
            {"wanted": {"languages": ["zh"], "bounds": {"motion": [n / 10, None]}}, "order": "alignment", "descending": True},
        ),
        "top 30 % after a slider: counts": lambda n: ask(
            url, "api/counts", {"bounds": {"motion": [n / 10, None]}, "top": {"alignment": 0.3}}
        ),
        "search in captions": lambda n: ask(url, "api/clips", {"wanted": {"search": _SEARCHES[n % 3], "search_in": "captions"}}),
        "one clip": lambda n: ask(url, f"api/clip?n={n * 7919}"),
        "a frame": lambda n: ask(url, f"frame/clip?n={n * 7919}&i=3"),
    }


@contextlib.contextmanager
def served(folder: Path, cache: Path, words: str) -> Iterator[tuple[str, int]]:
    """A browser in a process of its own: its address and process id. Prints how long it took until the page could be opened, in seconds of
    the clock and of the process."""
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "browse", str(folder), "--annotator", "benchmark"]
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    server = subprocess.Popen([*command, "--cache-dir", str(cache)], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        used = sum(psutil.Process(server.pid).cpu_times()[:2])
        print(f"{words}: the page can be opened after {time.monotonic() - start:.1f} s ({used:.1f} CPU s)", flush=True)
        yield url, server.pid
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def measure(folder: Path, clips: int, added: Callable[[], None]) -> None:
    """Serves and asks. added: appends a partition."""
    cache = folder.parent / "cache"
    print(f"{clips:,} clips")
    with served(folder, cache, "first start") as (url, pid):
        print("\n| question | median ms | slowest ms |\n|---|--:|--:|")
        for name, question in questions(url).items():
            times = []
            for number in range(_ROUNDS):
                asked = time.perf_counter()
                question(number)
                times.append((time.perf_counter() - asked) * 1000)
            print(f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} |", flush=True)
        status = Path(f"/proc/{pid}/status").read_text()
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        size = sum(file.stat().st_size for file in cache.rglob("*.duckdb"))
        print(f"\npeak of memory: {int(peak) / 1000:.0f} MB; index: {size / 1e6:.0f} MB")
    with served(folder, cache, "second start"):
        pass
    added()
    with served(folder, cache, "start after one more partition"):
        pass


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the root; default: the system's temporary folder")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="browse-", dir=arguments.folder))
    try:
        partitions = arguments.clips // CLIPS
        make_root(base / "root", partitions + 1, range(partitions + 1))
        last, hidden = base / "root" / layout.sources_table(partitions), base / "hidden.parquet"
        last.rename(hidden)  # a partition is there when its inputs are
        measure(base / "root", arguments.clips, lambda: hidden.rename(last))
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
