"""A clip gets the caption of the span that it was cut for."""

from internvid_pipeline.records import CaptionRecord, DropReason, to_table
from internvid_pipeline.stage import Drop, Emit
from stages.import_captions import ImportCaptions, ImportCaptionsConfig
from tests.stages.listed import listed_item, request

STAGE = ImportCaptions(ImportCaptionsConfig())
REQUESTS = (request(1.0, 3.0, "first"), request(1.0, 3.5, "longer"), request(5.0, None, "to the end"), request(7.0, 8.0, None))


def caption(start_s: float, end_s: float, video_start_s: float = 0.0) -> str | DropReason:
    (outcome,) = STAGE.process([listed_item(start_s, end_s, REQUESTS, video_start_s)])
    if isinstance(outcome, Drop):
        return outcome.reason
    assert isinstance(outcome, Emit) and to_table(outcome.records, CaptionRecord).num_rows == 1
    (row,) = outcome.records
    assert (row.model, row.scale, row.language, row.is_stand_in) == ("InternVid-10M-flt", "fused", "en", False)
    return row.text


def test_the_nearest_span_within_a_frame_and_a_half():
    assert caption(1.02, 2.98) == "first" and caption(1.0, 3.5) == "longer" and caption(5.04, 10.0) == "to the end"
    assert caption(2.5, 3.0) == caption(7.0, 8.0) == DropReason.EMPTY_CAPTION
    assert caption(1.0 + 0.834, 3.0 + 0.834, 0.834) == "first", "lists count from the first frame, wherever the clock begins"
