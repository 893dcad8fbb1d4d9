"""Which clips belong to a selection: expressions, percentiles, draws and quotas over tables, in bounded memory. Knows no stage."""

from internvid_pipeline.selection.database import SetDatabase, known_columns, plain_columns, quoted
from internvid_pipeline.selection.draws import inverse_count_draw, uniform_draw
from internvid_pipeline.selection.expressions import columns_of
from internvid_pipeline.selection.rules import DrawRule, Rule, Selection
from internvid_pipeline.selection.selector import KEPT, count_kept, decide, row_condition
from internvid_pipeline.selection.shuffle import shuffled_apart

__all__ = [
    "KEPT",
    "DrawRule",
    "Rule",
    "Selection",
    "SetDatabase",
    "columns_of",
    "count_kept",
    "decide",
    "inverse_count_draw",
    "known_columns",
    "plain_columns",
    "quoted",
    "row_condition",
    "shuffled_apart",
    "uniform_draw",
]
