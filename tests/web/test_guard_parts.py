"""Addresses, pace, excluded ids, merged candidates, spans: the parts that need no server."""

import ipaddress
import multiprocessing
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import AddressRefused, RateLimited, UsageError
from internvid_pipeline.records import CandidateRecord, DropRecord, SourceRecord
from internvid_pipeline.web.addresses import AddressPolicy, is_public
from internvid_pipeline.web.guard import retry_after_s
from internvid_pipeline.web.id_set import IdSet, build_id_set, read_ids
from internvid_pipeline.web.merge_candidates import merge_candidates
from internvid_pipeline.web.rates import HostPace
from internvid_pipeline.web.spans import frame_range

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1",
    "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1",
    "64:ff9b:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses(text: str):
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "142.250.74.46", "2a00:1450:4001:81b::200e", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses(text: str):
    assert is_public(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_as_public_as_what_it_carries(address: ipaddress.IPv4Address):
    assert is_public(ipaddress.IPv6Address(f"::ffff:{address}")) == is_public(address)


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch):
    """As in DNS rebinding: the name has a good address and a bad one. The addresses come from a resolver of the test's own."""
    import socket

    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: entries)
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
        AddressPolicy().resolve("rebinding.example", 80)
    assert AddressPolicy(["127.0.0.0/8"]).resolve("rebinding.example", 80) == entries
    with pytest.raises(UsageError, match="allow_networks"):
        AddressPolicy(["localhost"])


def _ask(folder: str, count: int, queue: multiprocessing.Queue) -> None:
    pace = HostPace(Path(folder), 100.0, None)
    moments = []
    for _ in range(count):
        moments.append(pace.wait("host"))
    queue.put(moments)


def test_eight_workers_keep_the_rate_together(tmp_path: Path):
    """8 x 40 requests at 100 a second. The moments were given out, not measured: late wake-ups on a busy machine do not spoil it."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_ask, args=(str(tmp_path), 40, queue)) for _ in range(8)]
    for worker in workers:
        worker.start()
    moments = sorted(moment for _ in workers for moment in queue.get(timeout=60))
    for worker in workers:
        worker.join(timeout=30)
    assert len(moments) == 320
    # No stretch has more requests than its length allows, but for the burst of a twentieth of a second.
    for width in (100, 319):
        spans = np.array(moments[width:]) - np.array(moments[:-width])
        assert spans.min() >= (width / 100.0 - 0.06) * 0.95


def test_a_block_holds_for_all_and_doubles(tmp_path: Path):
    one, other = (HostPace(tmp_path, None, None, backoff_s=100, longest_backoff_s=300, longest_wait_s=0.5) for _ in range(2))
    assert one.block("Host", None) == pytest.approx(100, abs=1)
    assert other.block("host", None) == pytest.approx(100, abs=1), "answers to requests under way do not lengthen it"
    with pytest.raises(RateLimited, match="left alone") as caught:
        other.wait("host")
    assert caught.value.retry_after_s == pytest.approx(100, abs=1)
    other.wait("another")
    (state,) = [path for path in tmp_path.iterdir() if path.read_bytes()[16:24] != bytes(8)]
    data = np.frombuffer(state.read_bytes()).copy()
    data[2] = time.time() - 1  # the block is over, and the next answer is 429 again
    state.write_bytes(data.tobytes())
    one.wait("host")
    assert one.block("host", None) == pytest.approx(200, abs=1)
    data[2:] = time.time() - 1, 2
    state.write_bytes(data.tobytes())
    one.answered("host")
    assert one.block("host", 7.0) == pytest.approx(7, abs=1)


def test_retry_after_in_both_forms():
    assert retry_after_s("120") == 120 and retry_after_s("soon") is None and retry_after_s(None) is None and retry_after_s("-5") is None
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@given(
    st.lists(st.text(min_size=1, max_size=60).filter(lambda text: "\n" not in text), max_size=200),
    st.lists(st.text(max_size=60), max_size=50),
)
@settings(max_examples=60, deadline=None)
def test_excluded_ids_are_exact(tmp_path_factory: pytest.TempPathFactory, ids: list[str], others: list[str]):
    path = tmp_path_factory.mktemp("ids") / "ids"
    assert build_id_set(ids, path) == len({text.encode(errors="replace") for text in ids})
    found = IdSet(path)
    assert all(text in found for text in ids) and len(found) == len({text.encode(errors="replace") for text in ids})
    known = {text.encode(errors="replace") for text in ids}
    assert all((text in found) == (text.encode(errors="replace") in known) for text in others if text)


def test_files_of_ids(tmp_path: Path):
    import gzip

    (tmp_path / "a.txt").write_text("aaaaaaaaaaa\r\n# comment\nyoutube bbbbbbbbbbb\nhttps://www.youtube.com/watch?v=ccccccccccc&t=1\n")
    (tmp_path / "b.csv").write_text("YoutubeID,x\nddddddddddd,1\n")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"videoID": "eeeeeeeeeee"}\n'))
    ids = list(read_ids([tmp_path / name for name in ("a.txt", "b.csv", "c.jsonl.gz")]))
    assert ids == ["aaaaaaaaaaa", "youtube bbbbbbbbbbb", "ccccccccccc", "ddddddddddd", "eeeeeeeeeee"]
    build_id_set(ids, tmp_path / "set")
    excluded = IdSet(tmp_path / "set")
    assert (
        excluded.holds("Youtube", "bbbbbbbbbbb") and not excluded.holds("Vimeo", "bbbbbbbbbbb") and excluded.holds("Vimeo", "aaaaaaaaaaa")
    )


def candidate(external_id: str, query: str) -> CandidateRecord:
    return CandidateRecord(
        candidate_id=f"site-{external_id}", extractor="Site", external_id=external_id, url=f"https://x/{external_id}", query=query,
        query_language=None, rank=0, title=None, description=None, duration_s=None, uploader=None, view_count=None, live_status=None,
        info_json="{}",
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5)), max_size=40), st.sets(st.integers(0, 8), max_size=3))
@settings(max_examples=60, deadline=None)
def test_one_input_per_id_with_all_its_queries(tmp_path_factory: pytest.TempPathFactory, found: list[tuple[int, int]], out: set[int]):
    rows = [candidate(f"v{video}", f"q{query}") for video, query in found]
    path = tmp_path_factory.mktemp("out") / "ids"
    build_id_set([f"v{video}" for video in out], path)
    merged = list(merge_candidates(lambda: iter([rows[:7], [], rows[7:]]), IdSet(path)))
    wanted: dict[int, list[str]] = {}
    for video, query in found:
        wanted.setdefault(video, [])
        if f"q{query}" not in wanted[video]:
            wanted[video].append(f"q{query}")
    assert [record.external_id for record in merged if isinstance(record, SourceRecord)] == [
        f"v{video}" for video in wanted if video not in out
    ]
    for record in merged:
        if isinstance(record, SourceRecord) and record.external_id:
            assert list(record.queries) == wanted[int(record.external_id[1:])]
        elif isinstance(record, DropRecord):
            assert record.reason == "excluded"
    assert len(merged) == len(wanted)


@given(st.lists(st.integers(1, 100), min_size=2, max_size=50), st.integers(-1000, 1000), st.data())
def test_spans_made_of_frames_give_these_frames(steps: list[int], first: int, data: st.DataObject):
    """A span that was written from frames' times, rounded to milliseconds as lists are, comes back as these frames."""
    edges = first * 10 + np.concatenate([[0], np.cumsum(np.array(steps) * 10)])
    base = Fraction(1, 1000)
    start = data.draw(st.integers(0, len(steps) - 1))
    end = data.draw(st.integers(start + 1, len(steps)))
    origin_s = float(edges[0] * base)
    span = [round(float(edges[k] * base) - origin_s, 3) for k in (start, end)]
    assert frame_range(edges[:-1], int(edges[-1]), base, origin_s, span[0], span[1]) == (start, end)
    assert frame_range(edges[:-1], int(edges[-1]), base, origin_s, span[0], None) == (start, len(steps))
    assert frame_range(edges[:-1], int(edges[-1]), base, origin_s, 10_000.0, 10_001.0) is None
