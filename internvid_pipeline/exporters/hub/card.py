"""The data card: a README.md that the Hub can parse and a person can judge the data by."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from internvid_pipeline.config import to_yaml
from internvid_pipeline.exporters.hub.layout import index_path
from internvid_pipeline.exporters.hub.statistics import CAPTION_EDGES_WORDS, DURATION_EDGES_S, SelectionStatistics, bucket_names
from internvid_pipeline.units import duration_text, size_text

_SIZES = (
    (1e3, "n<1K"),
    (1e4, "1K<n<10K"),
    (1e5, "10K<n<100K"),
    (1e6, "100K<n<1M"),
    (1e7, "1M<n<10M"),
    (1e8, "10M<n<100M"),
    (1e9, "100M<n<1B"),
)
_MOST_ROWS = 12  # of a table in the card; the rest is summed
_MARKUP = re.compile(r"[\r\n|<>`\[\]]")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True)
class ModelUse:
    """What wrote or scored rows. role: scale of the caption, or the scorer."""

    role: str
    name: str
    commit: str
    is_stand_in: bool


@dataclass(frozen=True)
class CardFacts:
    """What stands in a card. repo: `org/name`. kind: `media`, `metadata` or `ids`. licence: of the data set, an identifier of the Hub.
    rules: by selection. contact: whom to ask for removal."""

    repo: str
    dataset_name: str
    kind: str
    licence: str
    contact: str
    selections: Mapping[str, SelectionStatistics]
    rules: Mapping[str, Sequence[str]]
    models: Sequence[ModelUse]
    data_files: Mapping[str, str]
    versions: str


def card_text(facts: CardFacts) -> str:
    """The whole README.md. Text of strangers (languages, licences) stands there without markup."""
    return (
        f"---\n{to_yaml(_header(facts))}---\n\n"
        + "\n\n".join(
            part
            for part in (_title(facts), _selections(facts), _figures(facts), _models(facts), _loading(facts), _responsibility(facts))
            if part
        )
        + "\n"
    )


def _header(facts: CardFacts) -> dict[str, Any]:
    languages = Counter[str]()
    for statistics in facts.selections.values():
        languages.update(statistics.languages)
    codes = sorted({code.split("-")[0] for code in languages if _LANGUAGE.fullmatch(code.split("-")[0])})
    total = max((statistics.num_clips for statistics in facts.selections.values()), default=0)
    header: dict[str, Any] = {
        "pretty_name": facts.dataset_name,
        "license": facts.licence,
        "task_categories": ["video-text-to-text", "text-to-video", "video-classification"],
        "size_categories": [next((name for most, name in _SIZES if total < most), "n>1T")],
        "tags": ["video", "video-text", "captions", "internvid-pipeline", *(["webdataset"] if facts.kind == "media" else [])],
    }
    if codes:
        header["language"] = codes
    header["configs"] = [
        {"config_name": name, **({"default": True} if position == 0 else {}), "data_files": [{"split": "train", "path": path}]}
        for position, (name, path) in enumerate(facts.data_files.items())
    ]
    return header


def _title(facts: CardFacts) -> str:
    what = {
        "media": "Clips with captions, scores and what is known of their videos, as WebDataset shards.",
        "metadata": "The tables of a video-text data set: one row per clip, without media.",
        "ids": "Ids, times, captions and scores of a video-text data set, in the columns that InternVid published; no media.",
    }[facts.kind]
    stand_ins = any(model.is_stand_in for model in facts.models)
    warning = (
        "\n\n> **Made with stand-ins.** Some captions or scores come from deterministic stand-ins and not from models; "
        "this set is for trying the pipeline out."
        if stand_ins
        else ""
    )
    return f"# {plain_text(facts.dataset_name)}\n\n{what} Made with internvid-pipeline in the way of InternVid (arXiv:2307.06942).{warning}"


def _selections(facts: CardFacts) -> str:
    rows = [
        (
            name,
            f"{one.num_clips:,}",
            f"{one.num_videos:,}",
            f"{one.total_s / 3600:,.2f}",
            _mean(one.total_s, one.num_clips, "s"),
            _mean(one.num_words, one.num_clips, "words"),
            size_text(one.size_bytes),
            "; ".join(map(plain_text, facts.rules.get(name, ()))) or "every clip",
        )
        for name, one in facts.selections.items()
    ]
    head = ("selection", "clips", "videos", "hours", "mean clip", "mean caption", "size of clips", "rules, in this order")
    return "## Selections\n\n" + markdown_table(head, rows)


def _figures(facts: CardFacts) -> str:
    parts = []
    for name, one in facts.selections.items():
        counts = [
            ("clip length", list(zip(bucket_names(DURATION_EDGES_S, "s"), one.durations, strict=True))),
            ("caption length", list(zip(bucket_names(tuple(map(float, CAPTION_EDGES_WORDS)), "words"), one.caption_lengths, strict=True))),
            ("height", [(f"{height} px", count) for height, count in one.heights_px.most_common()]),
            ("language of the video", one.languages.most_common()),
            ("licence of the video", one.licences.most_common()),
            ("source", one.sources.most_common()),
        ]
        rows = [
            (what, value, f"{count:,}", f"{count / max(1, sum(n for _, n in found)):.1%}")
            for what, found in counts
            for value, count in _longest(found)
        ]
        parts.append(
            f"### {name}\n\n" + markdown_table(("what", "value", "count", "share"), [(a, plain_text(str(b)), c, d) for a, b, c, d in rows])
        )
    return "## Statistics\n\nLengths and heights are counted in clips; languages, licences and sources in videos.\n\n" + "\n\n".join(parts)


def _longest(found: list[tuple[Any, int]]) -> list[tuple[Any, int]]:
    rest = sum(count for _, count in found[_MOST_ROWS:])
    return [*found[:_MOST_ROWS], *([("others", rest)] if rest else [])]


def _models(facts: CardFacts) -> str:
    rows = [
        (model.role, plain_text(model.name), plain_text(model.commit), "stand-in" if model.is_stand_in else "model")
        for model in facts.models
    ]
    return "## Models\n\n" + (markdown_table(("wrote or scored", "name", "commit", "kind"), rows) if rows else "None.")


def _loading(facts: CardFacts) -> str:
    first = next(iter(facts.data_files), "default")
    if facts.kind == "media":
        code = (
            f'from datasets import Video, load_dataset\n\nclips = load_dataset("{facts.repo}", "{first}", split="train", streaming=True)\n'
            'for clip in clips.cast_column("mp4", Video(decode=False)):\n    print(clip["__key__"], clip["txt"], len(clip["mp4"]["bytes"]))'
            "\n```\n\nAny clip by its number, once all is here (`pip install webdataset`); for Megatron-Energon, `.tar.idx` lies beside "
            "each shard:\n\n```python\nimport wids\nfrom huggingface_hub import snapshot_download\n\n"
            f'folder = snapshot_download("{facts.repo}", repo_type="dataset")\n'
            f'clips = wids.ShardListDataset(f"{{folder}}/{index_path(first)}")\nprint(len(clips), clips[0][".txt"])'
        )
    else:
        code = f'from datasets import load_dataset\n\nrows = load_dataset("{facts.repo}", "{first}", split="train")\nprint(rows[0])'
    return f"## Loading\n\n```python\n{code}\n```"


def _responsibility(facts: CardFacts) -> str:
    contact = f"Write to {plain_text(facts.contact)}" if facts.contact else "Open a discussion in this repository"
    return (
        "## Rights and removal\n\nThe videos belong to their makers. Source and licence stand in every row where the source gave them; "
        "check them for your use. Captions and scores are made by machines and may be wrong or biased.\n\n"
        f"You are in a video, or made one, and want it out: {contact}, naming the video. It is then taken out of the tables, shards and "
        "this repository, and does not come back.\n\n"
        f"Made with {plain_text(facts.versions)}."
    )


def _mean(total: float, count: int, unit: str) -> str:
    if not count:
        return "-"
    return duration_text(total / count) if unit == "s" else f"{total / count:.1f} {unit}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; cells with text of strangers go through `plain_text` before."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def plain_text(text: str) -> str:
    """Text of strangers, without what Markdown or HTML would take for markup."""
    return _MARKUP.sub(" ", text)[:300]
