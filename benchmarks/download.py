"""Downloads from a video site on loopback: how fast, how polite, and what a kill -9 costs.

    python benchmarks/download.py throughput [--videos 2000] [--kb 200]   # beside plain yt-dlp in a loop
    python benchmarks/download.py rate [--videos 400] [--limit 20]         # eight workers on Ray and one limit
    python benchmarks/download.py kill [--videos 2000]                     # kill -9 in the middle, then the same command again

The site is the tests' (`tests/web/site.py`), the extractor too: each video is a page with what is known of it and a file. The site runs in
this process; seconds of CPU are those of the processes that download.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.media.made import Made, shots_of, write_video
from tests.web.fake_site import NAMES
from tests.web.site import Site, running_site

REPO = Path(__file__).resolve().parents[1]
PLAIN = """
import sys, time
from yt_dlp import YoutubeDL
from tests.web.fake_site import FakeSiteIE
folder, urls = sys.argv[1], open(sys.argv[2]).read().split()
options = {"quiet": True, "noprogress": True, "no_warnings": True, "outtmpl": folder + "/%(id)s.%(ext)s", "format": "best[height<=720]"}
with YoutubeDL(options, auto_init=False) as client:
    client.add_info_extractor(FakeSiteIE())
    for url in urls:
        client.download([url])
"""


def filled(site: Site, folder: Path, count: int, kb: int) -> list[str]:
    """`count` videos of `kb` kilobytes each, no two alike: one picture with other bytes behind it. Returns their addresses."""
    base = write_video(folder / "base.mp4", shots_of([150, 150], 640, 360), Made(gop=25)).read_bytes()
    padding = max(0, kb * 1000 - len(base) - 16)
    for number in range(count):
        free = (padding + 16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big") + bytes(padding)
        site.add_video(f"v{number:05d}", base + free, duration=12)
    return [f"{site.base}/watch/v{number:05d}" for number in range(count)]


@contextlib.contextmanager
def workplace(count: int, kb: int) -> Iterator[tuple[Site, Path, Path]]:
    """A site with videos, a folder, and a file of addresses in it."""
    folder = Path(tempfile.mkdtemp(prefix="download-"))
    try:
        with running_site() as site:
            (folder / "urls.txt").write_text("\n".join(filled(site, folder, count, kb)))
            (folder / "tmp").mkdir()
            yield site, folder, folder / "urls.txt"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_config(folder: Path, urls: Path, partition_videos: int, network: dict[str, Any], placement: dict[str, Any]) -> Path:
    """A config that downloads and does nothing else."""
    stage = {"network": {"allow_networks": ["127.0.0.0/8"], **network}, "extractor": {"extractors": list(NAMES)}}
    raw = {
        "name": "download",
        "root": str(folder / "set"),
        "source": {"path": str(urls), "partition_videos": partition_videos},
        "stages": {"download_videos": stage},
        "placement": placement,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    """A process of Python whose scratch files lie in the folder."""
    env = {**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(folder / "tmp")}
    with open(folder / "log", "ab") as log:
        return subprocess.Popen([sys.executable, *command], cwd=REPO, env=env, stdout=log, stderr=log, start_new_session=True)


def start_run(folder: Path, config: Path, engine: str) -> subprocess.Popen[bytes]:
    """`internvid run`."""
    return start(folder, "-m", "internvid_pipeline.cli.main", "run", str(config), "--engine", engine, "-q")


def finish(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits for a process, which must end well."""
    if process.wait() != 0:
        sys.exit((folder / "log").read_text()[-3000:])


def children_cpu_s() -> float:
    """Of all processes that were started here and have ended, with their own children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def throughput(arguments: argparse.Namespace) -> None:
    """Ours beside yt-dlp, one after the other, on the same files."""
    print("| 1 process | videos | MB | wall s | files/s | MB/s | CPU ms per file |\n|---|--:|--:|--:|--:|--:|--:|")
    with workplace(arguments.videos, arguments.kb) as (site, folder, urls):
        (folder / "plain").mkdir()
        networks = {"requests_per_s": None}
        config = write_config(folder, urls, 250, networks, {"stages": {"download_videos": {"load_threads": arguments.threads}}})
        for name in ("plain yt-dlp in a loop", f"internvid run, inline, {arguments.threads} threads"):
            before, cpu, since = sum(site.sent.values()), children_cpu_s(), time.monotonic()
            is_plain = name.startswith("plain")
            command = ("-c", PLAIN, str(folder / "plain"), str(urls))
            finish(folder, start(folder, *command) if is_plain else start_run(folder, config, "inline"))
            wall_s, cpu_s = time.monotonic() - since, children_cpu_s() - cpu
            mb = (sum(site.sent.values()) - before) / 1e6
            count = len(list((folder / "plain").iterdir())) if is_plain else emitted(folder)
            per_file = cpu_s / count * 1000
            print(f"| {name} | {count} | {mb:.0f} | {wall_s:.1f} | {count / wall_s:.1f} | {mb / wall_s:.1f} | {per_file:.1f} |", flush=True)


def emitted(folder: Path) -> int:
    """Videos of the data set."""
    return sum(json.loads(path.read_bytes())["emitted"] for path in (folder / "set").glob("download_videos/*/?????.manifest.json"))


def rate(arguments: argparse.Namespace) -> None:
    """Requests as the server saw them."""
    workers = {"min_workers": arguments.workers, "max_workers": arguments.workers, "cpus": 0.2, "load_threads": 2}
    with workplace(arguments.videos, 20) as (site, folder, urls):
        config = write_config(folder, urls, 10, {"requests_per_s": arguments.limit}, {"stages": {"download_videos": workers}})
        finish(folder, start_run(folder, config, "ray"))
        count, moments = emitted(folder), sorted(moment for times in site.times.values() for moment in times)
    mean = (len(moments) - 1) / (moments[-1] - moments[0])
    width = int(arguments.limit * 10)
    highest = max(width / (late - early) for early, late in zip(moments, moments[width:], strict=False))
    print("| workers | limit, requests/s | videos | requests | seconds | mean rate | of the limit | highest rate over 10 s |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    print(
        f"| {arguments.workers} | {arguments.limit:g} | {count} | {len(moments)} | {moments[-1] - moments[0]:.1f} | {mean:.2f} | "
        f"{mean / arguments.limit:.1%} | {highest:.2f} |"
    )


def kill(arguments: argparse.Namespace) -> None:
    """SIGKILL to the run and its workers when half of the bytes are there."""
    with workplace(arguments.videos, arguments.kb) as (site, folder, urls):
        threads = {"stages": {"download_videos": {"load_threads": arguments.threads}}}
        config = write_config(folder, urls, 250, {"requests_per_s": None}, threads)
        total = sum(map(len, site.files.values()))
        process = start_run(folder, config, "inline")
        while sum(list(site.sent.values())) < total // 2:
            if process.poll() is not None:
                sys.exit((folder / "log").read_text()[-3000:])
            time.sleep(0.01)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            member.send_signal(signal.SIGKILL)
        process.wait()
        psutil.wait_procs(family)
        done = emitted(folder)
        finish(folder, start_run(folder, config, "inline"))
        files = {f"/files/{name}": len(data) for name, data in site.files.items()}
        twice = {path: site.sent[path] - size for path, size in files.items() if site.sent[path] > size}
        print(
            "| videos | MB | in done partitions when killed | videos in the end | files of which bytes came twice | bytes that came twice |"
        )
        print("|--:|--:|--:|--:|--:|--:|")
        print(f"| {arguments.videos} | {total / 1e6:.0f} | {done} | {emitted(folder)} | {len(twice)} | {sum(twice.values())} |")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["throughput", "rate", "kill"])
    parser.add_argument("--videos", type=int, default=None)
    parser.add_argument("--kb", type=int, default=200)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--limit", type=float, default=20.0)
    arguments = parser.parse_args()
    arguments.videos = arguments.videos or (400 if arguments.what == "rate" else 2000)
    {"throughput": throughput, "rate": rate, "kill": kill}[arguments.what](arguments)


if __name__ == "__main__":
    main()
