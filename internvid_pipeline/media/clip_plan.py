"""Which clips are asked for, how they are to be written, and what can be copied of each."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from internvid_pipeline.errors import UnreadableMedia
from internvid_pipeline.media.container import open_media, video_stream
from internvid_pipeline.media.cut_plan import COPIED_CODECS, CutPlan, plan_cut
from internvid_pipeline.media.edge_encoder import JOINED_FORMATS, fits_beside
from internvid_pipeline.media.frames import FrameChoice
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.packets import PacketIndex, index_packets
from internvid_pipeline.media.video_encoders import EncoderSettings
from internvid_pipeline.media.video_scan import VideoScan

_MATRIX_IN_HEADER = "mov"  # containers that keep the turn of a picture apart from it, so that frames encoded anew are turned with the rest


@dataclass(frozen=True)
class ClipSpan:
    """Frames [start_frame, end_frame) to be written as `<stem>.mp4`. kept: frames among them to be decoded and kept as
    `<stem>.f<number>.jpg` (`ClipSettings.frame_suffix`); None: none."""

    start_frame: int
    end_frame: int
    stem: str
    kept: FrameChoice | None = None


@dataclass(frozen=True)
class ClipSettings:
    """mode: `auto` copies what can be copied exactly, `reencode` nothing, `copy` nothing else. max_side_px, fps: of the clips, None: as the
    source; other values than the source's make `auto` encode. frame_side_px, frame_quality, frame_suffix: of the kept frames.
    only_codec: packets of other codecs than the encoder's are not copied."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    mode: Literal["auto", "reencode", "copy"] = "auto"
    max_side_px: int | None = None
    fps: float | None = None
    frame_side_px: int = 384
    frame_quality: int = 90
    frame_suffix: str = ".jpg"
    only_codec: bool = False

    @property
    def copied_codecs(self) -> tuple[str, ...]:
        """Those of sources whose packets may go into a clip."""
        return (self.encoder.codec,) if self.only_codec else COPIED_CODECS


class ClipPlanner:
    """Reads the packets of a video once (`index_packets`) and says how each span can be cut."""

    def __init__(self, path: Path, scan: VideoScan, settings: ClipSettings, limits: MediaLimits) -> None:
        self._times, self._settings = scan.times, settings
        self.index: PacketIndex | None = None
        self._may_copy = self._may_join = False
        with open_media(path, limits) as container:
            stream = video_stream(container)
            if stream is None:
                raise UnreadableMedia("has no video stream")
            context = stream.codec_context
            width, height = context.width, context.height
            is_smaller = settings.max_side_px is not None and max(width, height) > settings.max_side_px
            is_asked = settings.mode != "reencode" and settings.fps is None and not is_smaller
            self._may_copy = is_asked and context.codec.canonical_name in settings.copied_codecs
            may_turn = not scan.orientation.filters or container.format.name.startswith(_MATRIX_IN_HEADER)
            is_plain = (
                context.codec.canonical_name == settings.encoder.codec == "h264"
                and context.pix_fmt in JOINED_FORMATS
                and not scan.interlaced
            )
            self._may_join = self._may_copy and is_plain and may_turn and width % 2 == height % 2 == 0
        if self._may_copy or settings.mode != "reencode":
            self.index = index_packets(path, limits)

    def plan(self, start_frame: int, end_frame: int) -> CutPlan | None:
        """For frames [start_frame, end_frame); None where they can only be copied, and no part of them can be copied exactly."""
        only_copy = self._settings.mode == "copy"
        may_join = self._may_join and self.index is not None and fits_beside(self.index.parameters)
        return plan_cut(self.index, self._times, start_frame, end_frame, may_copy=self._may_copy, may_join=may_join, only_copy=only_copy)
