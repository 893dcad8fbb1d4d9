"""Formats by their names on the command line."""

from internvid_pipeline.errors import UsageError
from internvid_pipeline.exporters.formats.base import ExportOptions, Format
from internvid_pipeline.exporters.formats.conversations import LlavaJsonl, VideoChat2It
from internvid_pipeline.exporters.formats.interleaved import InternVidIcl
from internvid_pipeline.exporters.formats.internvid_jsonl import InternVidJsonl
from internvid_pipeline.exporters.formats.pretraining_json import InternVideo2Avs, PretrainingJson
from internvid_pipeline.exporters.formats.video_lists import InternVideo2Stage1List, VideoMaeList

FORMATS: dict[str, type[Format]] = {
    kind.name: kind
    for kind in (
        InternVidJsonl,
        PretrainingJson,
        InternVideo2Avs,
        InternVideo2Stage1List,
        VideoMaeList,
        LlavaJsonl,
        VideoChat2It,
        InternVidIcl,
    )
}


def open_format(name: str, options: ExportOptions) -> Format:
    """The format of that name. Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"no format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name](options)


__all__ = ["FORMATS", "ExportOptions", "Format", "open_format"]
