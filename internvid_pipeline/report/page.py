"""The report as one HTML file: styles, figures and pictures are within it, and a policy forbids it to load anything."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

from internvid_pipeline import __version__
from internvid_pipeline.report.draw import Drawing
from internvid_pipeline.report.examples import Example
from internvid_pipeline.report.facts import Facts
from internvid_pipeline.report.figures import Figure
from internvid_pipeline.units import duration_text, size_text

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page_text(facts: Facts, drawings: Mapping[str, Drawing]) -> str:
    """The whole page. drawings: by the figures' names, and `funnel`. All text of strangers is escaped."""
    style = resources.files("internvid_pipeline.report").joinpath("page.css").read_text()
    body = "".join(
        (
            _head(facts),
            _funnel(facts, drawings["funnel"]),
            _distributions(facts, drawings),
            _examples(facts),
            _selections(facts),
            _work(facts),
            _provenance(facts),
        )
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(facts.name)}</title>'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="generator" content="internvid-pipeline {__version__}"><style>{style}</style></head>\n<body>\n{body}</body></html>\n'
    )


def _head(facts: Facts) -> str:
    tiles = {"inputs": f"{facts.num_inputs:,}"}
    tiles |= {row.writes: f"{row.rows:,}" for row in facts.stages}
    tiles["dropped, all stages"] = f"{sum(row.dropped for row in facts.stages):,}"
    tiles["failed, all stages"] = f"{sum(row.failed for row in facts.stages):,}"
    warning = (
        '<p class="warning"><strong>Made with stand-ins.</strong> Some captions or scores come from deterministic stand-ins and not from '
        "models; they are for trying the pipeline out. The table of models says which.</p>"
        if facts.has_stand_ins
        else ""
    )
    undone = [row.stage for row in facts.stages if row.partitions_done < row.partitions]
    if undone:
        warning += f'<p class="warning">Not finished: {escape(", ".join(undone))}. Figures are of what is done.</p>'
    numbers = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in tiles.items())
    return (
        f'<h1>{escape(facts.name)}</h1><p class="soft">Report of {escape(facts.made_at)}. Counts of stages are exact, from all manifests. '
        f'Distributions, words and examples: {escape(facts.sampled)}</p>{warning}<dl class="tiles">{numbers}</dl>'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """An HTML table; all columns but `words` hold numbers. Cells are escaped."""
    kinds = ["" if place in words else ' class="n"' for place in range(len(head))]
    cells = [f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, head, strict=True)]
    lines = ["<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>" for row in rows]
    return f'<div class="scroll"><table><thead><tr>{"".join(cells)}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _funnel(facts: Facts, drawing: Drawing) -> str:
    head = ("stage", "partitions", "inputs", "emitted", "dropped", "failed", "sum closes", "rows out", "not taken", "parts dropped")
    rows = [
        (
            row.stage,
            f"{row.partitions_done:,} of {row.partitions:,}",
            *(f"{count:,}" for count in (row.inputs, row.emitted, row.dropped, row.failed)),
            "yes" if row.closes else "NO",
            f"{row.rows:,}",
            f"{row.not_taken:,}",
            f"{row.dropped_parts:,}",
        )
        for row in facts.stages
    ]
    lost = [(row.stage, "dropped", name, f"{count:,}") for row in facts.stages for name, count in row.reasons.items()]
    lost += [(row.stage, "failed", name, f"{count:,}") for row in facts.stages for name, count in row.classes.items()]
    parts = [(stage, "part dropped", name, f"{count:,}") for stage, name, count in facts.part_drops]
    of = "" if facts.is_whole else " Parts are counted in the sample."
    losses = (
        table(("stage", "became", "reason or class", "number"), [*lost, *parts], (0, 1, 2)) if lost or parts else "<p>Nothing was lost.</p>"
    )
    return (
        "<h2>What became of everything</h2><p>Every input of a stage ends as emitted, dropped (a judgement, with a reason) or failed (an "
        "accident, with an error): inputs = emitted + dropped + failed. An input may give several rows; <em>not taken</em> are rows of the "
        "stage before that this one has not reached, or that lack a row in another table.</p>"
        f'<figure class="wide"><h3>Inputs of each stage</h3><p>The number at the end of each bar is the number of inputs.</p>'
        f"{drawing.page_svg}</figure>"
        f'{table(head, rows)}<h3 style="margin-top:1rem">Reasons and errors</h3><p>Parts are pieces of an input, such '
        f"as one shot of a video; the input itself may be emitted.{of}</p>{losses}"
    )


def _distributions(facts: Facts, drawings: Mapping[str, Drawing]) -> str:
    figures = "".join(_figure(figure, drawings[figure.name]) for figure in facts.figures if figure.bars)
    silent = [f"{figure.title.lower()} ({figure.missing:,} {figure.counted})" for figure in facts.figures if not figure.bars]
    rest = f'<p class="soft">Not told by any row: {escape("; ".join(silent))}.</p>' if silent else ""
    return f'<h2>Distributions</h2><p>{escape(facts.sampled)}</p><div class="figures">{figures}</div>{rest}'


def _figure(figure: Figure, drawing: Drawing) -> str:
    missing = f" {figure.missing:,} {figure.counted} have no value." if figure.missing else ""
    rows = figure_rows(figure)
    numbers = table((figure.axis, figure.counted, "share"), [(label, f"{count:,}", share) for label, count, share in rows])
    return (
        f"<figure><h3>{escape(figure.title)}</h3><p>{escape(figure.sentence)}{missing}</p>{drawing.page_svg}"
        f"<details><summary>numbers</summary>{numbers}</details></figure>"
    )


def figure_rows(figure: Figure) -> list[tuple[str, int, str]]:
    """(label, count, share of what has a value)."""
    return [(bar.label, bar.count, f"{bar.count / max(1, figure.total):.1%}") for bar in figure.bars]


def _examples(facts: Facts) -> str:
    groups = "".join(
        f'<h3>{escape(group.title)}</h3><div class="examples">{"".join(map(_example, group.examples))}</div>' for group in facts.examples
    )
    return (
        f"<h2>Examples</h2><p>{'' if facts.is_whole else 'From the sample. '}For each bin the clip whose id has the smallest hash, so that "
        "nobody has chosen them: up to four frames, from "
        f"left to right in time, and its caption. Below, what was left out, by stage and reason.</p>{groups or '<p>None.</p>'}"
    )


def _example(example: Example) -> str:
    if example.strip is None:
        picture = '<div class="none">no frames were kept of it</div>'
    else:
        data = base64.b64encode(example.strip).decode()
        picture = f'<img alt="frames of {escape(example.item_id)}" src="data:image/jpeg;base64,{data}">'
    return (
        f'<div class="example"><strong>{escape(example.label)}</strong>{picture}<div class="text" dir="auto">{escape(example.text)}</div>'
        f'<div class="id">{escape(example.item_id)}</div></div>'
    )


def _selections(facts: Facts) -> str:
    if not facts.selections:
        return ""
    rows = [(row.name, f"{row.clips:,}", "; ".join(row.words) or "every clip") for row in facts.selections]
    of = "" if facts.is_whole else ", in the sample"
    numbers = table(("selection", "clips", "rules"), rows, (0, 2))
    return f"<h2>Selections</h2><p>Clips that each named selection keeps{of}, and its rules in their order.</p>{numbers}"


def _work(facts: Facts) -> str:
    head = ["stage", "work", "CPU time", "GPU time", "inputs per worker hour", "hours of video per worker hour", "stored"]
    has_money = any(row.cost is not None for row in facts.work)
    rows = []
    for row in facts.work:
        video = f"{row.video_hours_per_worker_hour:,.1f}" if row.video_s else "not told"
        cells = [row.stage, duration_text(row.wall_s), duration_text(row.cpu_s), duration_text(row.gpu_s)]
        cells += [f"{row.items_per_worker_hour:,.0f}", video, size_text(row.size_bytes)]
        rows.append([*cells, *(["no price" if row.cost is None else f"{row.cost:,.2f}"] if has_money else [])])
    if has_money:
        head.append(f"cost in {facts.currency or 'the currency of the prices'}")
        total = sum(row.cost or 0.0 for row in facts.work)
        rows.append(["all", "", "", "", "", "", "", f"{total:,.2f}"])
    note = "" if has_money else " Give a machines file with prices (--machines) for the cost."
    return (
        "<h2>What it took</h2><p>Work is seconds of workers, waiting apart; CPU and GPU time are those times what a worker held. Hours of "
        f"video are those that a stage's inputs stand for.{note}</p>{table(head, rows)}"
    )


def _provenance(facts: Facts) -> str:
    models = [
        (row.model.role, row.model.name, row.model.commit, "stand-in" if row.model.is_stand_in else "model", f"{row.rows:,}")
        for row in facts.models
    ]
    stages = [(row.stage, row.fingerprint) for row in facts.stages]
    versions = [(words, f"{count:,}") for words, count in facts.versions.items()]
    return (
        "<h2>Models and versions</h2><p>As the rows themselves say.</p>"
        + (table(("wrote or scored", "name", "commit", "kind", "rows"), models, (0, 1, 2, 3)) if models else "<p>No row names a model.</p>")
        + '<p style="margin-top:1rem">Software that wrote the results, by the number of results.</p>'
        + table(("versions", "results"), versions)
        + '<p style="margin-top:1rem">Fingerprints: what each stage\'s result was made from.</p>'
        + table(("stage", "fingerprint"), stages, (0, 1))
    )
