"""Writing down a selection: what the sliders say, and, where people want it, the words searched for and the marks as rules too.

A search becomes a rule for each word, over the same columns in the same spelling. Marks become hashes of the clips' ids, so that a config
names nobody who asks for removal later. What a rule cannot say is the order in which clips are shown, and which clips were only looked at.
"""

from typing import Any

from internvid_pipeline.browse.queries import Queries
from internvid_pipeline.browse.questions import Written
from internvid_pipeline.browse.wanted import folded, literal, selection_yaml
from internvid_pipeline.config import validated
from internvid_pipeline.errors import UsageError
from internvid_pipeline.selection import Rule, Selection

_HASH_DIGITS = 16  # two of ten million clips share them with a chance below 1e-5
_MOST_MARKS = 400  # of one rule, whose text is bounded


def written(queries: Queries, asked: Written) -> dict[str, Any]:
    """The YAML, its rules in words, and how many clips they keep. Raises UsageError for what can be no rule."""
    thresholds = asked.wanted.selection().rules
    more = [*(_search_rules(queries, asked) if asked.with_search else ()), *(_mark_rules(queries, asked.with_marks))]
    at = next((place for place, rule in enumerate(thresholds) if rule.needs_set), len(thresholds))
    # Before shares of the set: these are taken of what everything else keeps.
    selection = Selection(rules=(*thresholds[:at], *more, *thresholds[at:]))
    counts = queries.counts_of(selection)
    return {"yaml": selection_yaml(asked.name, selection), "rules": [rule.words for rule in selection.rules], "kept": counts["kept"]}


def _search_rules(queries: Queries, asked: Written) -> list[Rule]:
    columns = queries.searched(asked.wanted.search_in)
    rules = []
    for word in asked.wanted.search.split():
        (spelled,) = queries.index.rows(f"SELECT {folded(literal(word))}")[0]
        rules.append(" or ".join(f"contains({folded(column)}, {literal(spelled)})" for column in columns))
    return [validated(Rule, {"where": rule}, "search") for rule in rules]


def _mark_rules(queries: Queries, how: str) -> list[Rule]:
    if not how:
        return []
    verdict = "keep" if how == "only_keep" else "reject"
    rows = queries.index.rows(
        f"SELECT substr(md5(clip_id), 1, {_HASH_DIGITS}) FROM rows JOIN marked USING (number) WHERE verdict = ? ORDER BY number", [verdict]
    )
    found = [text for (text,) in rows]
    if how == "only_keep" and not 0 < len(found) <= _MOST_MARKS:
        raise UsageError(f"{len(found)} clips are marked keep; a rule can name 1 to {_MOST_MARKS}: set thresholds by them instead")
    words = "in" if how == "only_keep" else "not in"
    groups = [found[start : start + _MOST_MARKS] for start in range(0, len(found), _MOST_MARKS)]
    return [Rule(where=f"substr(md5(clip_id), 1, {_HASH_DIGITS}) {words} ({', '.join(map(literal, group))})") for group in groups]
