"""The browser over HTTP: what is shown, searched, counted, played and marked."""

import hashlib
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import from_yaml
from internvid_pipeline.engine import run_dataset
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.records import ClipRecord, SelectionRecord
from internvid_pipeline.storage import Root
from tests.browse.conftest import Client, serve
from tests.browse.strange_set import CAPTIONS, strange_config
from tests.made_stages import made_config


def rows(root: Path, kind: type) -> list:
    opened, _, plans, partitions = open_dataset(str(root))
    folder = [plan.folder for plan in plans if plan.build().writes is kind][-1]
    return [row for partition in partitions for row in read_rows(opened, folder, partition, kind)]


def test_the_set_and_every_clip(client: Client):
    found = client.get("set")
    clips = rows(client.root, ClipRecord)
    assert found["name"] == "strange-set" and found["clips"] == len(clips) > 12
    assert found["partitions"] == [3, 3] and not found["has_speech"]
    assert {entry["value"] for entry in found["names"]["languages"]} == {"zh", "ar", "en", ""}
    assert sum(entry["clips"] for entry in found["names"]["cut_modes"]) == len(clips)
    assert [clip["clip_id"] for clip in client.clips()] == [clip.clip_id for clip in clips]


@pytest.mark.parametrize(
    ("words", "caption"),
    [("白色的猫", 0), ("على الطاولة", 1), ("RED Bike", 2), ("cafe TRES", 5), ("قِطَّة", 1), ("عـــلى", 1), ("fence DELETE", 3)],
)
def test_search_in_any_language(client: Client, words: str, caption: int):
    """Whatever the case, accents, vowel signs and lengthening strokes."""
    found = client.clips(wanted={"search": words, "search_in": "captions"})
    assert found and {clip["caption"] for clip in found} == {f"{CAPTIONS[caption]} ."}
    assert len(found) == sum(clip["caption"] == f"{CAPTIONS[caption]} ." for clip in client.clips())
    assert not client.clips(wanted={"search": words, "search_in": "title"})


def test_pages_and_orders(client: Client):
    by_motion = client.clips(order="motion", descending=True)
    assert [clip["motion"] for clip in by_motion] == sorted((clip["motion"] for clip in by_motion), reverse=True)
    pages = [client.clips(limit=3, offset=start) for start in range(0, len(by_motion), 3)]
    assert [clip["clip_id"] for page in pages for clip in page] == [clip["clip_id"] for clip in client.clips()]
    assert {clip["clip_id"] for clip in client.clips(order="random", seed=5)} == {clip["clip_id"] for clip in by_motion}
    kept = client.clips(show="kept", wanted={"bounds": {"duration_s": [1.2, None]}})
    left = client.clips(show="left_out", wanted={"bounds": {"duration_s": [1.2, None]}})
    assert len(kept) + len(left) == len(by_motion) and all(clip["duration_s"] >= 1.2 for clip in kept) and left


def test_histograms_add_up(client: Client):
    clips = client.get("set")["clips"]
    for found in client.post("histograms", {}):
        assert sum(found["whole"]) == sum(found["left"]) == clips, found["column"]
    halved = client.post("histograms", {"bounds": {"duration_s": [1.2, None]}})
    own = {found["column"]: sum(found["left"]) for found in halved}
    assert own["duration_s"] == clips > own["motion"] == len(client.clips(show="kept", wanted={"bounds": {"duration_s": [1.2, None]}}))


WANTED = [
    {},
    {"languages": ["zh", ""]},
    {"licences": [""], "bounds": {"duration_s": [1.0, 1.5]}},
    {"bounds": {"alignment": [0.9, None], "motion": [None, 8.0]}, "top": {"luma_mean": 0.6}},
    {"where": "video_language = 'en' or contains(caption_fused, '猫')", "top": {"alignment": 0.34, "motion": 0.5}},
    {"categories": [""], "cut_modes": ["copy", "reencode", "smart"]},
]


WRITTEN = {
    "words": {"wanted": {"search": "CAFE noir"}, "with_search": True},
    "cat": {"wanted": {"search": "猫 桌子", "search_in": "captions"}, "with_search": True},
    "title": {"wanted": {"search": "etc مرحبا", "search_in": "title"}, "with_search": True},
    "nothing": {"wanted": {"search": "hello", "search_in": "title"}, "with_search": True},
    "kept": {"with_marks": "only_keep"},
    "others": {"with_marks": "no_reject"},
}


def test_counts_agree_with_select_clips(client: Client, strange_root: Path, tmp_path: Path):
    """Every selection is written down, put into a config and run: the same clips remain after the same rules."""
    selections, counted = {}, {}
    for number, wanted in enumerate(WANTED):
        written = from_yaml(client.post("yaml", {"name": f"s{number}", "wanted": wanted})["yaml"])
        selections |= written["stages"]["select_clips"]["selections"]
        counted[f"s{number}"] = client.post("counts", wanted)
    for name, more in WRITTEN.items():
        found = _written(client, name, more)
        selections |= from_yaml(found["yaml"])["stages"]["select_clips"]["selections"]
        counted[name] = found
    config = strange_config(strange_root, strange_root.parent / "videos" / "list.jsonl", " .", **selections)
    before = open_dataset(str(strange_root))[1]
    report = run_dataset(config, engine="inline")
    assert not report.errors
    opened, _, plans, partitions = open_dataset(str(strange_root))
    plan = next(plan for plan in plans if plan.name == "select_clips")
    kept = Counter(row.selection for partition in partitions for row in read_rows(opened, plan.folder, partition, SelectionRecord))
    run_dataset(before, engine="inline")  # the others go on with the set as it was
    assert {name: found["kept"] for name, found in counted.items()} == {name: kept[name] for name in counted}
    assert len({found["kept"] for found in counted.values()}) > 3, "selections that all keep the same show nothing"
    for number, wanted in enumerate(WANTED[:3]):
        assert len(client.clips(show="kept", wanted=wanted)) == counted[f"s{number}"]["kept"]


def _written(client: Client, name: str, more: dict) -> dict:
    """With the third clip marked reject and the fifth keep, for as long as it takes. No config names a clip."""
    clips = client.clips()
    for place, verdict in ((2, "reject"), (4, "keep")):
        client.post("mark", {"number": clips[place]["number"], "verdict": verdict})
    found = client.post("yaml", {"name": name, **more})
    for place in (2, 4):
        client.post("mark", {"number": clips[place]["number"], "verdict": "none"})
    assert not any(clip["clip_id"] in found["yaml"] for clip in clips)
    shown = len(client.clips(wanted=more["wanted"])) if more.get("with_search") else None
    expected = {"": shown, "only_keep": 1, "no_reject": len(clips) - 1}[more.get("with_marks", "")]
    assert found["kept"] == expected, name
    return found


def test_what_can_be_no_rule_is_refused(client: Client):
    assert "0 clips are marked keep" in client.post("yaml", {"name": "a", "with_marks": "only_keep"}, 400)["error"]


def test_clips_come_by_byte_ranges(client: Client):
    clip = rows(client.root, ClipRecord)[2]
    number = next(card["number"] for card in client.clips() if card["clip_id"] == clip.clip_id)
    status, headers, whole = client.ask(f"media/clip?n={number}")
    assert (status, headers["content-type"], headers["accept-ranges"]) == (200, "video/mp4", "bytes")
    assert hashlib.sha256(whole).hexdigest() == clip.media.sha256
    size = len(whole)
    for asked, start, end in (("0-99", 0, 100), (f"100-{size + 50}", 100, size), ("17-", 17, size), ("-30", size - 30, size)):
        status, headers, part = client.ask(f"media/clip?n={number}", range=f"bytes={asked}")
        assert (status, headers["content-range"], part) == (206, f"bytes {start}-{end - 1}/{size}", whole[start:end])
    assert client.ask(f"media/clip?n={number}", range=f"bytes={size}-")[0] == 416
    assert client.ask(f"media/clip?n={number}", range="bytes=0-1,5-9")[0] == 200  # several ranges: all of it is a right answer
    status, headers, picture = client.ask(f"frame/clip?n={number}&i=2")
    assert (status, headers["content-type"], picture[:2]) == (200, "image/jpeg", b"\xff\xd8")


def test_details_and_two_fingerprints(client: Client):
    card = client.clips()[0]
    found = client.get(f"clip?n={card['number']}")
    now, old = found["captions"]
    assert now["is_current"] and not old["is_current"] and now["fingerprint"] != old["fingerprint"]
    assert now["rows"][0]["text"] == f"{old['rows'][0]['text']} ." and now["rows"][0]["is_stand_in"]
    assert any("config.ending" in line for line in old["changes"])
    assert {row["scorer"] for version in found["scores"] for row in version["rows"]} == {"alignment"}
    assert found["clip"]["clip_id"] == card["clip_id"] and "media" not in found["clip"] and "source_uri" not in found["clip"]
    assert client.post("captions", {"numbers": [card["number"]]})[0]["versions"] == found["captions"]


def test_what_was_lost_is_looked_at_too(client: Client):
    names = {(entry["stage"], entry["kind"], entry["name"]): entry["count"] for entry in client.get("set")["lost"]}
    assert names[("import_videos", "failed", "UnreadableMedia")] == 1
    dropped = client.post("losses", {"stage": "select_clips"})
    assert dropped["total"] == names[("select_clips", "dropped", "below_minimum")] == len(dropped["items"]) > 0
    item = dropped["items"][0]
    found = client.get(f"lost?n={item['id']}")
    assert found["plays"] and found["is_clip"] and found["num_frames"] > 0 and found["losses"][0]["message"] == item["message"]
    assert client.ask(f"media/lost?n={item['id']}")[2][4:8] == b"ftyp"
    assert client.ask(f"frame/lost?n={item['id']}&i=0")[2][:2] == b"\xff\xd8"
    broken = client.post("losses", {"search": "<b>broken"})["items"]
    assert [item["name"] for item in broken] == ["UnreadableMedia"]
    nothing = client.get(f"lost?n={broken[0]['id']}")
    assert not nothing["plays"] and nothing["num_frames"] == 0
    assert client.ask(f"frame/lost?n={broken[0]['id']}&i=0")[0] == 404


def test_marks_and_their_precision(client: Client):
    clips = client.clips(order="duration_s")
    good, bad = clips[-3:], clips[:2]
    for clip in good + bad[:1]:
        client.post("mark", {"number": clip["number"], "verdict": "keep"})
    client.post("mark", {"number": bad[1]["number"], "verdict": "reject"})
    client.post("mark", {"number": bad[0]["number"], "verdict": "none"})
    marks = client.post("counts", {})["marks"]
    assert (marks["keep"], marks["reject"], marks["precision"], marks["recall"]) == (3, 1, 0.75, 1.0)
    longest = {"bounds": {"duration_s": [good[-1]["duration_s"], None]}}
    marks = client.post("counts", longest)["marks"]
    same = sum(clip["duration_s"] == good[-1]["duration_s"] for clip in good)
    assert (marks["kept"], marks["precision"], marks["recall"]) == (same, 1.0, same / 3)
    curve = next(found["curve"] for found in client.post("histograms", {}) if found["column"] == "duration_s")
    assert curve[0] == {"threshold": bad[1]["duration_s"], "precision": 0.75, "recall": 1.0}
    assert len(client.clips(wanted={"marked": "keep"})) == 3 and len(client.clips(wanted={"marked": "reject"})) == 1
    assert len(client.clips(wanted={"marked": "none"})) == len(clips) - 4
    stored = duckdb.sql(
        f"SELECT annotator, clip_id, verdict FROM '{client.root}/marks/{client.annotator}/*.parquet' ORDER BY marked_at"
    ).fetchall()
    assert [row[2] for row in stored][-6:] == ["keep"] * 4 + ["reject", "none"] and {row[0] for row in stored} == {client.annotator}
    from internvid_pipeline.browse.marks import Marks

    again = Marks(Root(str(client.root)), "somebody-else")
    assert Counter(again.verdicts.values()) == {"keep": 3, "reject": 1}
    for clip in good + bad:
        client.post("mark", {"number": clip["number"], "verdict": "none"})


@pytest.mark.parametrize("until", ["made_videos", "made_clips"])
def test_sets_that_are_not_finished(tmp_path: Path, until: str):
    """No clips yet, or clips without captions and scores."""
    run_dataset(made_config(tmp_path / "root", tmp_path / "videos", num_videos=4), engine="inline", until=until)
    for early in serve(tmp_path / "root"):
        clips = early.get("set")["clips"]
        assert (clips > 0) == (until == "made_clips") and len(early.clips()) == clips
        assert early.post("counts", {})["kept"] == 0, "select_clips keeps no clip without a caption"
        assert all(sum(found["whole"]) == clips for found in early.post("histograms", {}))
        if clips:
            assert early.get("clip?n=0")["captions"][0]["rows"] == [] and len(early.clips(wanted={"search": "VIDEO"})) == clips
