"""Files by strangers through the real stages in watched workers: playlists, lying headers, mutants, files cut short, odd names.

All of them lie in one folder and are one partition: a hang or a crash of one would show in the others.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.media.hostile import Seeds, write_hostile
from tests.media.hostile_boxes import box
from tests.media.hostile_mutants import KINDS, write_cut_short, write_kind, write_mutants
from tests.media.hostile_references import write_references
from tests.media.hostile_run import Account, run_hostile
from tests.media.hostile_watch import canaries_in

_PER_KIND = 3  # of 17 kinds; `make soak-hostile` runs many more
# What is said of headers that lie about what they ask for. Others lie about what is not needed, and give clips or other reasons.
_SAID = {
    "frames-billion.mp4": r"MediaLimitError: claims 1000000000 frames, allowed are 10000000 \(limits.max_frames\)",
    "frames-4-billion.mp4": r"MediaLimitError: claims 4294967295 frames",
    "frames-billion.ivf": r"MediaLimitError: claims to last 40000000 s, allowed are 86400 \(limits.max_duration_s\)",
    "timebase-min.ivf": r"MediaLimitError: claims to last 21474836470 s",
    "timescale-2-31.mp4": r"MediaLimitError: claims 4194304 frames per second, allowed are 1000 \(limits.max_fps\)",
    "rate-max.avi": r"MediaLimitError: claims 90000 frames per second",
    "elst-5000.mp4": r"MediaLimitError: has an edit list of 5000 entries, allowed are 1000 \(limits.max_edits\)",
    "elst-200000.mp4": r"MediaLimitError: has an edit list of 200000 entries",
    "traks-500.mp4": r"MediaLimitError: has 500 streams, allowed are 64 \(limits.max_streams\)",
    "traks-3000.mp4": r"MediaLimitError: has 3000 streams",
    "streams-500.mkv": r"MediaLimitError: has more than 64 streams \(limits.max_streams\)",
    "sound-rate-1.avi": r"MediaLimitError: has sound of 1 samples a second, allowed are 1000 to 768000 \(limits.min_audio_hz",
    "sides-65535.y4m": r"UnreadableMedia: .*65535x65535 is invalid",
    "timebase-0.ivf": r"UnreadableMedia: .*Invalid frame rate",
    "duration-200-s.mkv": r"cut short: it ends at 0\.8 s, its header says 200\.0 s",
}


@dataclass(frozen=True)
class Ran:
    """The run over everything. groups: names of the files by kind. opened, called: what the witnesses saw."""

    account: Account
    groups: dict[str, list[str]]
    sizes: dict[str, int]
    opened: set[Path]
    called: int


def _odd_names(folder: Path, data: bytes) -> list[Path]:
    names = ["a b'c\"d.mp4", "http:x.mp4", "concat:a|b.mp4", "-i.mp4", "%d%03d.mp4", "line\nbreak.mp4", "data:,x.mp4", "é" * 125 + ".mp4"]
    names += ["subfile,,start,0,end,9,,:x.mp4", "crypto:x.mp4", "pipe:0.mp4", "x..mp4", "[0-9]*.mp4", "\u202egpj.mp4"]
    paths = [os.fsencode(folder / name) for name in names] + [os.path.join(os.fsencode(folder), b"\xff\xfe.mp4")]
    for number, path in enumerate(paths):
        with open(path, "wb") as file:
            file.write(data + box(b"free", bytes([number])))  # other bytes: no duplicates
    return [Path(os.fsdecode(path)) for path in paths]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    place = tmp_path_factory.mktemp("hostile")
    source, seeds_folder = place / "source", place / "seeds"
    source.mkdir()
    seeds_folder.mkdir()
    seeds = Seeds(place / "header-seeds")
    kinds = [write_kind(kind, seeds_folder) for kind in KINDS]
    with canaries_in(place / "canaries") as canaries:
        made = {
            "references": write_references(source, canaries),
            "headers": write_hostile(source, seeds),
            "mutants": write_mutants(source, kinds, _PER_KIND),
            "cut": write_cut_short(source, kinds),
            "names": _odd_names(source, seeds.mp4),
        }
        canaries.files.seen()  # what making them has opened
        before = canaries.ports.calls
        account = run_hostile(source, place / "root")
        opened, called = canaries.files.seen(), canaries.ports.calls - before
    shutil.rmtree(place / "root", ignore_errors=True)
    groups = {group: [path.name for path in paths] for group, paths in made.items()}
    return Ran(account, groups, {path.name: path.stat().st_size for path in source.iterdir()}, opened, called)


def test_each_input_is_accounted_for_once_and_every_clip_is_whole(ran: Ran):
    """Rows, drops and failures add up at every stage; each clip decodes to exactly the frames that its row states."""
    assert ran.account.wrong == []
    assert len(ran.account.outcomes) == sum(map(len, ran.groups.values())) >= 350
    assert ran.account.num_clips > 100 and ran.account.num_frames > 2000


def test_nothing_but_the_inputs_was_read(ran: Ran):
    """Neither the files nor the ports that playlists, scripts and references name. That the witnesses see is tested in
    tests/media/test_hostile_watch.py."""
    assert ran.opened == set() and ran.called == 0


def test_references_are_refused_in_words(ran: Ran):
    """But for those that carry media of their own: what they refer to is passed over."""
    own = {"dref-url.mp4", "dref-urn.mp4", "linked.mkv"}
    for name in ran.groups["references"]:
        outcome, reason = ran.account.outcomes[name]
        if name in own:
            assert outcome == "clips", (name, reason)
        else:
            assert outcome == "failed" and re.match(r"(UnreadableMedia|DamagedMedia): \w", reason), (name, outcome, reason)
            assert "whitelist" not in reason


@pytest.mark.parametrize("name", _SAID)
def test_lying_headers_are_told_so(ran: Ran, name: str):
    assert re.search(_SAID[name], ran.account.outcomes[name][1]), ran.account.outcomes[name]


def test_no_worker_died(ran: Ran):
    """Every one of these is refused or decoded; none needs the watcher. (That the watcher works is tested in tests/engine/.)"""
    died = {
        name: reason for name, (_, reason) in ran.account.outcomes.items() if re.match("WorkerDied|DeadlineExceeded|MemoryLimit", reason)
    }
    assert died == {}


def test_files_cut_short_are_known_to_be(ran: Ran):
    """At each tenth of 17 kinds. Transport and program streams that end exactly between two packets are not to be told from shorter
    recordings; of the 153 files here three do."""
    unknown = []
    for name in ran.groups["cut"]:
        outcome, reason = ran.account.outcomes[name]
        if outcome == "clips" and "damaged" not in reason:
            unknown.append(name)
    aligned = {"ts": 188, "mpg": 2048}
    for name in unknown:
        assert ran.sizes[name] % aligned.get(name.rsplit(".", 1)[1], 1 << 60) == 0, name
    assert len(unknown) <= 3


def test_names_are_only_names(ran: Ran):
    outcomes = [outcome for name, (outcome, _) in ran.account.outcomes.items() if name in ran.groups["names"]]
    assert len(ran.groups["names"]) == 15 and outcomes == ["clips"] * 14, "the one that is not UTF-8 stands in the tables as a URL"
    assert ran.account.outcomes["%FF%FE.mp4"][0] == "clips"


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here: the witnesses of the tests above stand alone")
def test_system_calls(tmp_path: Path):
    """Every file that the run opens lies in the input folder, in its own folders, or belongs to Python and the system; no socket of the
    internet is ever made."""
    source = tmp_path / "source"
    source.mkdir()
    log = tmp_path / "strace.log"
    with canaries_in(tmp_path / "canaries") as canaries:
        write_references(source, canaries)
        command = ["strace", "-f", "-qq", "-e"]
        command += ["trace=open,openat,openat2,connect,socket,sendto,bind,execve", "-s", "500", "-o", str(log)]
        child = [sys.executable, "-m", "tests.media.hostile_run", str(source), str(tmp_path / "root")]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        subprocess.run(command + child, check=True, timeout=250, stdout=subprocess.DEVNULL, env=environment)
    calls = log.read_text(errors="replace")
    assert calls.count(f"{source}/") > 100, "strace has seen the inputs being opened"
    assert str(canaries.video.parent) not in calls and "/etc/passwd" not in calls
    assert not re.search(r"AF_INET|AF_NETLINK|AF_PACKET", calls)
    programs = [line for line in re.findall(r"execve\(.*", calls) if "tests.media.hostile_run" not in line]
    assert programs and not any(str(source) in line for line in programs), "no input is given to another program"
    own = (str(tmp_path), "/proc", "/sys/", "/dev/", "/usr/", "/lib", "/etc/ld.so", "/etc/localtime", "/etc/mime.types", "/etc/ssl/")
    own += (sys.prefix, sys.base_prefix, os.path.realpath(sys.prefix), str(Path(__file__).parents[2]), *filter(None, sys.path))
    opened = set(re.findall(r'open(?:at2?)?\((?:AT_FDCWD, )?"([^"]*)"[^=]*= \d', calls))
    assert not {path for path in opened if path.startswith("/") and not path.startswith(own)}
