"""Doubles over partitions: exact, near, semantic; which is kept; against an exclusion set; and what selections make of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from internvid_pipeline.errors import UsageError
from internvid_pipeline.media.picture_hash import luma, mirrored, picture_hash
from internvid_pipeline.models import tiny
from internvid_pipeline.records import (
    ClipHashRecord,
    DuplicateRecord,
    EmbeddingRecord,
    FrameHash,
    MediaRef,
    schema_of,
    stored_vectors,
    to_table,
)
from internvid_pipeline.registry import build_stage
from internvid_pipeline.selection import SetDatabase
from internvid_pipeline.selection.doubles import Doubles
from internvid_pipeline.selection.near_duplicates import HashedFrames, NearSettings, SearchBounds, near_pairs
from internvid_pipeline.selection.semantic_duplicates import semantic_duplicates
from internvid_pipeline.stage import Item, WorkerContext
from internvid_pipeline.storage import Root, write_table
from tests.made_records import made_clip, made_video
from tests.models.pictures import make_clip
from tests.selection.pictures import painted
from tests.stages.test_embed_frames import config_of
from tests.stages.test_embed_frames import run as run_embed_frames


def code(seed: int, flips: int = 0) -> str:
    """Of a painted picture, some bits changed."""
    data = picture_hash(luma(painted(seed)))
    assert data is not None
    changed = int.from_bytes(data)
    for place in np.random.default_rng([seed, flips]).permutation(128)[:flips]:
        changed ^= 1 << int(place)
    return changed.to_bytes(16).hex()


def row(name: str, seeds: Sequence[int] = (), flips: int = 0, video: str = "", **fields) -> ClipHashRecord:
    frames = tuple(FrameHash(time_s=float(k), whole=code(seed, flips), inner=code(seed, flips)) for k, seed in enumerate(seeds))
    columns = {"sha256": f"sha of {name}", "duration_s": 4.0, "num_pixels": 1000, **fields}
    return ClipHashRecord(clip_id=name, video_id=video or f"video of {name}", frames=frames, **columns)


def embedding(name: str, vector: Sequence[float]) -> EmbeddingRecord:
    matrix = np.array([vector], np.float32) / np.linalg.norm(vector)
    columns = {"model": "made", "model_commit": "c", "frames": (1,), "is_stand_in": False}
    return EmbeddingRecord(clip_id=name, video_id=f"video of {name}", width=len(vector), vectors=stored_vectors(matrix), **columns)


class Tables:
    def __init__(self, parts: Sequence[Sequence[ClipHashRecord]], embeddings: Sequence[EmbeddingRecord] = ()) -> None:
        self.parts, self.embeddings = parts, embeddings
        self.partitions = range(len(parts))

    def table(self, partition: int, record_type: type, columns: Sequence[str] | None = None) -> pa.Table:
        if record_type is ClipHashRecord:
            return to_table(self.parts[partition], record_type)
        own = {one.clip_id for one in self.parts[partition]}
        return to_table([one for one in self.embeddings if one.clip_id in own], record_type)


def doubles(
    tmp_path: Path, *parts: Sequence[ClipHashRecord], embeddings: Sequence[EmbeddingRecord] = (), **config
) -> dict[str, DuplicateRecord]:
    folder = tmp_path / f"reduced{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    stage = build_stage("deduplicate_clips", config)
    stage.reduce(Tables(parts, embeddings), folder)
    files = {file.name: MediaRef(uri=str(file), size_bytes=file.stat().st_size) for file in folder.glob("*.parquet")}
    stage.setup(WorkerContext(root=Root(str(tmp_path)), scratch=folder, resources=stage.resources, reduced_files=files))
    found = [outcome for number, part in enumerate(parts) for outcome in stage.process([Item(one, number) for one in part])]
    return {outcome.records[0].clip_id: outcome.records[0] for outcome in found}


def of(found: dict[str, DuplicateRecord]) -> dict[str, str | None]:
    return {name: row.duplicate_of for name, row in found.items()}


def test_exact_doubles_over_partitions(tmp_path: Path):
    found = doubles(tmp_path, [row("a", sha256="s"), row("b")], [row("c", sha256="s"), row("d", sha256=None), row("e", sha256=None)])
    assert of(found) == {"a": None, "b": None, "c": "a", "d": None, "e": None}
    assert (found["c"].duplicate_group, found["c"].duplicate_method, found["c"].duplicate_similarity) == ("a", "exact", 1.0)
    assert found["a"].duplicate_group == "a" and found["b"].duplicate_group is None


def test_the_longest_is_kept_then_the_largest(tmp_path: Path):
    part = [
        row("small", (1, 2, 3), duration_s=4.0),
        row("large", (1, 2, 3), 9, duration_s=4.1, num_pixels=9000),
        row("short", (1, 2), 5, duration_s=2.0, num_pixels=99_000),
    ]
    found = doubles(tmp_path, part)
    assert of(found) == {"small": "large", "large": None, "short": "large"}
    assert found["small"].duplicate_method == "near" and 0.9 < (found["small"].duplicate_similarity or 0) < 1


def test_what_is_near_a_double_only_stays(tmp_path: Path):
    """The same opening in two films: it goes, the two films stay."""
    found = doubles(
        tmp_path, [row("one", (1, 2, 3, 4, 5, 6), duration_s=9)], [row("two", (1, 2, 7, 8, 9, 10), duration_s=9), row("both", (1, 2))]
    )
    assert of(found) == {"one": None, "two": None, "both": "one"}


def test_clips_of_one_video_are_different_moments(tmp_path: Path):
    part = [row("a", (1, 2), video="v"), row("b", (1, 2), 3, video="v")]
    assert of(doubles(tmp_path, part)) == {"a": None, "b": None}
    assert of(doubles(tmp_path, part, near={"same_video": True})) == {"a": None, "b": "a"}


def test_mirrored_copies(tmp_path: Path):
    turned = [mirrored(np.frombuffer(bytes.fromhex(code(seed)), np.uint8)[None])[0].tobytes().hex() for seed in (1, 2, 3)]
    copy = replace(row("copy"), frames=tuple(FrameHash(time_s=0.0, whole=one, inner=one) for one in turned))
    found = doubles(tmp_path, [row("a", (1, 2, 3)), copy])
    assert (found["copy"].duplicate_of, found["copy"].duplicate_method) == ("a", "mirrored")
    assert of(doubles(tmp_path, [row("a", (1, 2, 3)), copy], near={"mirrored": False})) == {"a": None, "copy": None}


def test_a_letter_boxed_copy_is_near_by_its_inner_picture(tmp_path: Path):
    boxed = replace(row("boxed"), frames=tuple(FrameHash(time_s=0.0, whole=code(50 + seed), inner=code(seed, 4)) for seed in (1, 2, 3)))
    assert of(doubles(tmp_path, [row("a", (1, 2, 3))], [boxed])) == {"a": None, "boxed": "a"}


def test_an_exclusion_set(tmp_path: Path):
    """Nothing that is a double of it is kept, whatever its length; chains end there."""
    write_table([row("test1", (1, 2, 3), duration_s=1.0), row("test2", sha256="s")], ClipHashRecord, tmp_path / "tests.parquet")
    parts = [row("a", (1, 2, 3), 6, duration_s=60.0), row("b", sha256="s")], [row("c", (4, 5)), row("d", sha256="sha of a")]
    found = doubles(tmp_path, *parts, exclude=[str(tmp_path / "tests.parquet")])
    assert of(found) == {"a": "excluded:test1", "b": "excluded:test2", "c": None, "d": "excluded:test1"}
    with pytest.raises(UsageError, match="no Parquet file"):
        doubles(tmp_path, *parts, exclude=[str(tmp_path / "nothing.parquet")])


def test_semantic_doubles(tmp_path: Path):
    chance = np.random.default_rng(5)
    base = chance.standard_normal((6, 32))
    vectors = {f"c{number}": base[number] for number in range(6)} | {"near2": base[2] + 0.05 * chance.standard_normal(32)}
    parts = [row(name) for name in list(vectors)[:4]], [row(name) for name in list(vectors)[4:]]
    found = doubles(tmp_path, *parts, embeddings=[embedding(*one) for one in vectors.items()], semantic={})
    gone = {name: double for name, double in of(found).items() if double}
    assert gone in ({"near2": "c2"}, {"c2": "near2"})
    (name,) = gone
    assert found[name].duplicate_method == "semantic" and 0.96 < (found[name].duplicate_similarity or 0) < 1
    with pytest.raises(UsageError, match="need the table of embed_frames"):
        doubles(tmp_path, *parts, semantic={})


def test_semantic_doubles_by_vectors_of_a_real_model(tmp_path: Path):
    """Through open_clip with tiny weights, JPEGs, half precision and the table of embed_frames: darker and blurred copies are found, no
    other pictures are."""
    preset = tiny.save_tiny_open_clip(tmp_path / "clip")
    pictures = {f"c{number}": painted(number, (96, 96)) // (1 + number % 3) for number in range(5)}
    pictures |= {f"{name}-copy": cv2.GaussianBlur(picture, (3, 3), 0) for name, picture in pictures.items()}
    clips = [make_clip(tmp_path, name, [picture, picture[:, ::-1]]) for name, picture in pictures.items()]
    embeddings = run_embed_frames(config_of(model=preset.model_dump()), tmp_path, clips)
    vectors = np.stack([one.matrix().mean(axis=0) / np.linalg.norm(one.matrix().mean(axis=0)) for one in embeddings])
    cosines = vectors @ vectors.T
    copies, others = cosines[range(5), range(5, 10)], cosines[np.triu_indices(5, 1)]
    assert copies.min() > others.max(), "the model tells the pictures apart"
    between = float(copies.min() + others.max()) / 2
    found = doubles(tmp_path, [row(name) for name in pictures], embeddings=embeddings, near=None, semantic={"min_cosine": between})
    groups = {frozenset((name, one.duplicate_of)) for name, one in found.items() if one.duplicate_of}
    assert groups == {frozenset((f"c{number}", f"c{number}-copy")) for number in range(5)}
    assert all(one.duplicate_method == "semantic" for one in found.values() if one.duplicate_of)


def test_semdedup_keeps_the_least_typical():
    """Algorithm 1 of the paper, written anew: from the least similar to the centre on, one goes that is near one before it."""
    chance = np.random.default_rng(2)
    vectors = chance.standard_normal((60, 16)).astype(np.float32)
    vectors[20:40] = vectors[:20] + 0.15 * chance.standard_normal((20, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    halves = vectors.astype(np.float16)
    rows = halves.astype(np.float32) / np.linalg.norm(halves.astype(np.float32), axis=1, keepdims=True)
    centre = rows.mean(axis=0)
    order = np.argsort(rows @ (centre / np.linalg.norm(centre)), kind="stable")
    similar = np.triu(rows[order] @ rows[order].T, k=1)
    expected = {int(order[place]) for place in np.flatnonzero(similar.max(axis=0) > 0.9)}
    found = list(semantic_duplicates(halves, 0.9, 1, np.zeros(60, bool)))
    assert {item for item, _, _ in found} == expected and len(expected) > 10
    first = np.zeros(60, bool)
    first[list(expected)] = True
    assert not {item for item, _, _ in semantic_duplicates(halves, 0.9, 1, first)} & expected, "an exclusion set never goes"


def test_many_clusters_find_most(tmp_path: Path):
    chance = np.random.default_rng(3)
    vectors = chance.standard_normal((2000, 32)).astype(np.float32)
    vectors[1000:] = vectors[:1000] + 0.05 * chance.standard_normal((1000, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = list(semantic_duplicates(vectors.astype(np.float16), 0.95, 10, np.zeros(2000, bool)))
    assert all(abs(item - other) == 1000 for item, other, _ in found)
    assert len(found) > 900


def test_an_item_goes_only_for_its_own_double():
    found = Doubles([(number,) for number in range(4)])
    found.add([(1, 2, 0.9, "near"), (0, 1, 0.9, "near"), (3, 2, 0.9, "near")])
    assert [found.link(item) is None for item in range(4)] == [True, False, True, False]
    assert found.link(3) is not None and found.link(3).to == 2


def test_nothing_at_all(tmp_path: Path):
    assert doubles(tmp_path, [], []) == {}
    assert of(doubles(tmp_path, [row("a")], [])) == {"a": None}


def test_selections_see_it():
    """A clip whose doubles were not looked for is not taken for unique."""
    with SetDatabase(["duplicate_of"]) as database:
        clips = to_table([made_clip(name, "v") for name in ("a", "b", "c")], type(made_clip("a", "v")))
        rows = [DuplicateRecord(clip_id=name, video_id="v", duplicate_of=of, **NOTHING) for name, of in (("a", None), ("b", "a"))]
        videos = to_table([made_video("v")], type(made_video("v")))
        empty = (schema_of(kind).empty_table() for kind in _captions_and_scores())
        database.add(0, clips, videos, *empty, to_table(rows, DuplicateRecord))
        database.build()
        found = database.connection.execute("SELECT clip_id FROM rows WHERE duplicate_of IS NULL").fetchall()
    assert found == [("a",)]


NOTHING = dict.fromkeys(("duplicate_group", "duplicate_method", "duplicate_similarity"))


def _captions_and_scores() -> tuple[type, type]:
    from internvid_pipeline.records import CaptionRecord, ScoreRecord

    return CaptionRecord, ScoreRecord


def test_the_way_above_the_bound_finds_what_the_exact_way_finds():
    """10,000 hashes in 200 cells, of which 24 are looked at for each: the share of cells of a set of 400,000. 0.977 of the pairs were found
    when this was written."""
    chance = np.random.default_rng(3)
    originals = chance.integers(0, 256, (5000, 16), np.uint8)
    codes = np.concatenate([originals, originals ^ np.packbits(chance.random((5000, 128)) < 0.1, axis=1)])
    clips = np.arange(len(codes), dtype=np.int64)
    frames, settings = HashedFrames(codes, codes, clips, clips), NearSettings(20, 0.6, False, False)

    def pairs(bounds: SearchBounds) -> set[tuple[int, int]]:
        found = near_pairs(frames, settings, bounds=bounds)
        return set(zip(found.first.tolist(), found.second.tolist(), strict=True))

    exact = pairs(SearchBounds(exact_codes=len(codes)))
    cells = pairs(SearchBounds(exact_codes=0, codes_per_cell=50))
    assert len(exact) > 9000 and cells <= exact, "nothing is found that is not near"
    assert len(cells) / len(exact) > 0.95
    assert len(pairs(SearchBounds(exact_codes=0, codes_per_cell=50, cells_looked_at=1))) / len(exact) < 0.8, "the test can tell"


def test_a_copy_whose_frames_lie_between_the_kept_ones(tmp_path: Path):
    """A hash between two kept frames has their common bits and either's others: 22 bits of 44 that differ is too far from both."""
    chance = np.random.default_rng(5)
    kept, step = chance.integers(0, 2, (6, 128)), np.zeros((6, 128), np.int64)
    for number in range(1, 6):
        kept[number] = kept[number - 1]
        kept[number, chance.permutation(128)[:44]] ^= 1
    for number in range(5):
        turn = np.flatnonzero(kept[number] != kept[number + 1])[::2]
        step[number] = kept[number]
        step[number, turn] ^= 1
    step[5] = kept[5]
    strange = chance.integers(0, 2, (6, 128))
    rows = [_row_of(name, bits) for name, bits in (("a", kept), ("b", step[:5]), ("c", strange))]
    assert of(doubles(tmp_path, rows)) == {"a": None, "b": "a", "c": None}


def _row_of(name: str, bits: np.ndarray) -> ClipHashRecord:
    codes = [np.packbits(one).tobytes().hex() for one in bits.astype(np.uint8)]
    frames = tuple(FrameHash(time_s=float(k), whole=code, inner=code) for k, code in enumerate(codes))
    fields = {"sha256": f"sha of {name}", "duration_s": float(len(frames)), "num_pixels": 1000, "frames": frames}
    return ClipHashRecord(clip_id=name, video_id=f"video of {name}", **fields)
