"""A report in a folder: `report.html`, `figures/*.svg` and `*.png`, `tables.md` in the data card's form, `report.json`."""

import json
from pathlib import Path

from internvid_pipeline.exporters.hub.card import markdown_table, plain_text
from internvid_pipeline.report.draw import draw_figure, draw_funnel
from internvid_pipeline.report.facts import Facts
from internvid_pipeline.report.page import figure_rows, page_text
from internvid_pipeline.storage import replaced_file

PAGE = "report.html"


def write_report(facts: Facts, folder: Path) -> list[Path]:
    """Writes the files, each whole or not at all. Returns their paths, the page first. Raises StorageError, SetupError."""
    drawings = {figure.name: draw_figure(figure) for figure in facts.figures if figure.bars}
    drawings["funnel"] = draw_funnel(facts.stages)
    files = {folder / PAGE: page_text(facts, drawings).encode(errors="replace")}
    files[folder / "tables.md"] = tables_text(facts).encode(errors="replace")
    files[folder / "report.json"] = json.dumps(facts.to_dict(), indent=1, ensure_ascii=False, default=str).encode(errors="replace")
    for name, drawing in drawings.items():
        files[folder / "figures" / f"{name}.svg"] = drawing.svg
        files[folder / "figures" / f"{name}.png"] = drawing.png
    for path, data in files.items():
        with replaced_file(path) as file:
            file.write(data)
    return list(files)


def tables_text(facts: Facts) -> str:
    """The funnel and all figures as tables in Markdown, to be put into a data card."""
    head = ("stage", "inputs", "emitted", "dropped", "failed", "rows out")
    funnel = [
        (row.stage, *(f"{count:,}" for count in (row.inputs, row.emitted, row.dropped, row.failed, row.rows))) for row in facts.stages
    ]
    parts = [f"## What became of everything\n\n{markdown_table(head, funnel)}"]
    for figure in facts.figures:
        if figure.bars:
            rows = [(plain_text(label), f"{count:,}", share) for label, count, share in figure_rows(figure)]
            parts.append(
                f"## {figure.title}\n\n{plain_text(figure.sentence)}\n\n{markdown_table((figure.axis, figure.counted, 'share'), rows)}"
            )
    return "\n\n".join([*parts, facts.sampled]) + "\n"
