"""A clip gets the scores of the span that it was cut for."""

from internvid_pipeline.records import DropReason, ScoreRecord, to_table
from internvid_pipeline.stage import Drop, Emit
from stages.import_scores import ImportScores, ImportScoresConfig
from tests.stages.listed import listed_item, request

STAGE = ImportScores(ImportScoresConfig())
REQUESTS = (request(1.0, 3.0, "first", aesthetic=4.3, umt_sim=0.41), request(5.0, 6.0, "none"))


def test_scores_name_their_list():
    (outcome, missing, other) = STAGE.process([listed_item(*span, REQUESTS) for span in ((1.0, 3.0), (5.0, 6.0), (2.0, 3.0))])
    assert isinstance(outcome, Emit) and to_table(outcome.records, ScoreRecord).num_rows == 2
    rows = {row.scorer: row for row in outcome.records}
    assert (rows["aesthetic"].value, rows["aesthetic"].num_frames, rows["aesthetic"].reduced) == (4.3, 4, "max")
    assert (
        rows["umt_sim"].caption_scale == "fused"
        and rows["aesthetic"].caption_scale is None
        and rows["umt_sim"].model == "InternVid-10M-flt"
    )
    for lost in (missing, other):
        assert isinstance(lost, Drop) and lost.reason == DropReason.MISSING_VALUE
