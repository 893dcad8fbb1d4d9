"""One row per video that a query, channel or playlist showed: what is known of it before anything is downloaded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRecord:
    """extractor, external_id: identity on the site. url: where it is downloaded from. query: words searched for, or the channel's or
    playlist's address; query_language: where the list of queries says it. rank: place among the results, from 0. duration_s, uploader,
    title, description, view_count: None where the result list does not say. info_json: the other fields as a JSON object."""

    candidate_id: str
    extractor: str
    external_id: str
    url: str
    query: str
    query_language: str | None
    rank: int
    title: str | None
    description: str | None
    duration_s: float | None
    uploader: str | None
    view_count: int | None
    live_status: str | None
    info_json: str

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.candidate_id
