"""From `source:` in the config to inputs of the web: ids, addresses, published lists; and to what is asked for more of them."""

import glob
import json
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.storage import check_no_credentials, local_path
from internvid_pipeline.web.id_set import read_ids
from internvid_pipeline.web.list_files import local_list
from internvid_pipeline.web.list_inputs import ClipList, ListOptions, source_id

_LIST_ENDINGS = (".jsonl", ".csv", ".parquet", ".jsonl.gz", ".csv.gz")


def web_inputs(source: SourceConfig) -> Iterator[SourceRecord] | None:
    """Inputs of a published list, of ids and of addresses, in this order; None where the config names none of them. Each address once.
    Raises UsageError."""
    parts: list[Iterable[SourceRecord]] = []
    check_no_credentials("source.id_url", source.id_url)
    for name in ("ids", "urls"):
        _check_file(getattr(source, name), name)
    if (listed := clip_list(source)) is not None:
        parts.append(listed.sources())
    if source.ids:
        parts.append(_of_id(source, text) for text in _entries(source.ids, "ids"))
    if source.urls:
        parts.append(_of_url(text) for text in _entries(source.urls, "urls"))
    if not parts:
        return None
    if listed is not None and len(parts) == 1:  # it holds each of its videos once by itself
        return listed.sources()
    return _each_once(parts)


def collection_inputs(source: SourceConfig) -> list[SourceRecord]:
    """What `collect_videos` is to ask: one record per query, channel or playlist. Raises UsageError."""
    found = [_of_query(source, words, language) for words, language in _queries(source.queries)]
    for address in _entries(source.channels, "channels") if source.channels else ():
        found.append(SourceRecord(source_id=source_id(address), uri=_checked_url(address), queries=(address,)))
    return list({record.uri: record for record in found}.values())


def asks_the_web(source: SourceConfig) -> bool:
    """Whether inputs are named otherwise than as files: by a published list, ids, addresses, queries, channels."""
    return bool(source.ids or source.urls or source.queries or source.channels or clip_list(source))


def clip_list(source: SourceConfig) -> ClipList | None:
    """The published list that `source.path` names, None where it names something else."""
    check_no_credentials("source.path", source.path)
    if not source.path.endswith(_LIST_ENDINGS) or glob.has_magic(source.path):
        return None
    local = local_path(source.path) or Path(source.path).expanduser()
    is_remote = "://" in source.path and not source.path.startswith("file://")
    if not is_remote and not local.is_file():
        return None
    base = source.list_base or (source.path.rsplit("/", 1)[0] if is_remote else str(local.absolute().parent))
    options = ListOptions(id_url=source.id_url, extractor=source.id_extractor, base=base, list_name=source.list_name)
    return ClipList.opened(local_list(source.path), options)


def _each_once(parts: Sequence[Iterable[SourceRecord]]) -> Iterator[SourceRecord]:
    seen: set[bytes] = set()
    for part in parts:
        for record in part:
            key = bytes.fromhex(record.source_id)
            if key not in seen:
                seen.add(key)
                yield record


def _entries(given: str | Sequence[str], name: str) -> Iterator[str]:
    """Entries of the config, or of the file that it names."""
    if not isinstance(given, str):
        yield from given
        return
    _check_file(given, name)
    path = local_list(given)
    if name == "ids" or path.suffix in (".csv", ".jsonl"):
        yield from read_ids([path])
        return
    yield from (line.strip() for line in path.read_text(encoding="utf-8-sig", errors="replace").split("\n") if _says(line))


def _check_file(given: str | Sequence[str], name: str) -> None:
    if isinstance(given, str) and given and "://" not in given and not Path(given).expanduser().is_file():
        raise UsageError(f"source.{name}: there is no file {given!r}; give a file, or a list in brackets")


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _of_id(source: SourceConfig, text: str) -> SourceRecord:
    uri = source.id_url.replace("{id}", urllib.parse.quote(text, safe="-_.~"))
    return SourceRecord(source_id=source_id(uri), uri=uri, extractor=source.id_extractor, external_id=text)


def _checked_url(text: str) -> str:
    if "://" not in text:
        raise UsageError(f"source: {text[:100]!r} is no address; it begins with https:// or another protocol")
    return check_no_credentials("input", text)


def _of_url(text: str) -> SourceRecord:
    return SourceRecord(source_id=source_id(text), uri=_checked_url(text))


def _of_query(source: SourceConfig, words: str, language: str) -> SourceRecord:
    uri = f"{source.search}{source.per_query}:{words}"
    listed = json.dumps({"query_language": language}) if language else "{}"
    return SourceRecord(source_id=source_id(uri), uri=uri, queries=(words,), metadata_json=listed)


def _queries(given: str | Sequence[str]) -> Iterator[tuple[str, str]]:
    """Words and their language, where the file says it."""
    if not isinstance(given, str) or not given.endswith(".jsonl"):
        yield from ((words, "") for words in (_entries(given, "queries") if given else ()))
        return
    try:
        _check_file(given, "queries")
        lines = local_list(given).read_text(encoding="utf-8-sig").split("\n")
        rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise UsageError(f"source.queries: {given} cannot be read: {error}") from error
    for number, row in enumerate(rows, 1):
        words = _words_of(row)
        if not words:
            raise UsageError(f"source.queries: {given} line {number} has no `query`")
        yield from words


def _words_of(row: object) -> list[tuple[str, str]]:
    if isinstance(row, str):
        return [(row, "")]
    if not isinstance(row, dict):
        return []
    if isinstance(row.get("query"), str):
        return [(row["query"], str(row.get("language") or ""))]
    # InternVid's released file: the English phrase is called an id, its Chinese translation the word searched for.
    pairs = ((row.get("search_word_id"), "en"), (row.get("search_word"), "zh"))
    return [(words, language) for words, language in pairs if isinstance(words, str) and words.strip()]
