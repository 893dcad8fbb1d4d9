"""From a data set to repositories on the Hub: `<repo>` with the shards, `<repo>-metadata` with the tables.

Two repositories, because the Hub's loader reads all configs of one with one builder: tables beside tars are taken for tars (tried with
datasets 5.0).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from internvid_pipeline import __version__
from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.errors import UsageError
from internvid_pipeline.exporters.hub import layout
from internvid_pipeline.exporters.hub.card import CardFacts, ModelUse, card_text
from internvid_pipeline.exporters.hub.layout import HubFile
from internvid_pipeline.exporters.hub.statistics import SelectionStatistics
from internvid_pipeline.exporters.hub.tables import table_files
from internvid_pipeline.exporters.samples import ExportSample, read_samples
from internvid_pipeline.records import CaptionRecord, ScoreRecord, SelectionRecord, TranscriptRecord
from internvid_pipeline.selection import Selection
from internvid_pipeline.storage import Root, file_sha256, replaced_file

METADATA_SUFFIX = "-metadata"
_CAPTIONS = " captions"


@dataclass(frozen=True)
class HubExport:
    """What is published. repo: `org/name`. selections: by name, the first is the default config. licence: the Hub's identifier."""

    repo: str
    selections: tuple[str, ...]
    licence: str = "other"
    contact: str = ""
    ids_only: bool = False


@dataclass(frozen=True)
class HubTree:
    """A repository and all files that should be in it."""

    repo: str
    files: tuple[HubFile, ...]


def checked_repo(repo: str) -> str:
    """`org/name` as the Hub allows it. Raises UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,80}", repo, re.ASCII) or ".." in repo or "--" in repo:
        raise UsageError(f"{repo!r} is no repository; write org/name with letters, digits, dot, dash and underscore")
    return repo


def build_trees(
    root: Root, config: DatasetConfig, plans: Sequence[StagePlan], partitions: Sequence[int], export: HubExport, folder: Path
) -> Iterator[HubTree]:
    """Repositories in the order of upload; tables and cards are staged in `folder`. One pass over the tables for each selection. Raises
    UsageError where the data set is not complete."""
    models = _models(root, plans, partitions)
    scorers = sorted({model.role for model in models if not model.role.endswith(_CAPTIONS)})
    statistics: dict[str, SelectionStatistics] = {}
    tables: list[HubFile] = []
    for name in export.selections:
        statistics[name] = SelectionStatistics()
        samples: Iterable[ExportSample] = statistics[name].counting(read_samples(root, plans, partitions, name))
        tables += table_files(samples, name, scorers, folder, export.ids_only)
    kinds = [("ids", export.repo)] if export.ids_only else [("media", export.repo), ("metadata", export.repo + METADATA_SUFFIX)]
    for kind, repo in kinds:
        is_media = kind == "media"
        facts = CardFacts(
            repo=repo,
            dataset_name=config.name,
            kind=kind,
            licence=export.licence,
            contact=export.contact,
            selections=statistics,
            rules=_rules(plans, export.selections),
            models=models,
            data_files={name: (layout.shard_pattern if is_media else layout.table_pattern)(name) for name in export.selections},
            versions=f"internvid-pipeline {__version__}",
        )
        files = list(layout.shard_files(root, plans, partitions, export.selections, folder)) if is_media else tables
        yield HubTree(repo, (*files, _card(facts, folder / f"card-{kind}.md")))


def _card(facts: CardFacts, path: Path) -> HubFile:
    with replaced_file(path) as file:
        file.write(card_text(facts).encode())
    return HubFile(layout.CARD, path.stat().st_size, file_sha256(path), staged=path)


def _rules(plans: Sequence[StagePlan], names: Sequence[str]) -> dict[str, list[str]]:
    for plan in plans:
        if plan.build().writes is SelectionRecord:
            found = {name: Selection.model_validate(fields) for name, fields in plan.fields["selections"].items()}
            return {name: [rule.words for rule in found[name].rules] for name in names}
    return {}


def _models(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]) -> list[ModelUse]:
    """What stands in the rows themselves: never what the config only asked for."""
    found: dict[ModelUse, None] = {}
    for plan in plans:
        kind = plan.build().writes
        if kind in (CaptionRecord, ScoreRecord, TranscriptRecord):
            for partition in partitions:
                for row in read_rows(root, plan.folder, partition, kind):
                    role = f"{row.scale}{_CAPTIONS}" if kind is CaptionRecord else row.scorer if kind is ScoreRecord else "speech"
                    if row.model:  # subtitles have none
                        found.setdefault(ModelUse(role, row.model, row.model_commit, row.is_stand_in))
    return list(found)
