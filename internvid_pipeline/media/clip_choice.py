"""Which frames of a scanned video become clips, and what is left out and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from internvid_pipeline.media.detectors import boundaries
from internvid_pipeline.media.lengths import LongShots, Span, clips_of_shot
from internvid_pipeline.media.listed_spans import listed_spans
from internvid_pipeline.media.video_scan import Shot, VideoScan
from internvid_pipeline.records import ClipRequest, DropReason


@dataclass(frozen=True)
class ChoiceRules:
    """See the options of the same names of the stage cut_clips. detector, threshold, min_scene_frames: where the shots are; the scan must
    have run that detector. min_clip_s, max_clip_s, long_shots: of clips; None: no bound. black_max_luma, min_motion, max_damaged_frames:
    of shots; brightness and motion from 0 to 255."""

    detector: str
    threshold: float | None
    min_scene_frames: int | None
    min_clip_s: float
    max_clip_s: float | None
    long_shots: LongShots
    black_max_luma: float
    min_motion: float
    max_damaged_frames: int


@dataclass(frozen=True)
class LeftOut:
    """Seconds [start_s, end_s) on the container's clock that give no clip."""

    start_s: float
    end_s: float
    reason: DropReason
    message: str


@dataclass
class ClipChoice:
    """Of one video. video_id: the seed of random segments. left_out: grows with each call."""

    scan: VideoScan
    rules: ChoiceRules
    video_id: str
    left_out: list[LeftOut] = field(default_factory=list)

    def of_shots(self) -> list[tuple[Shot, Span]]:
        """What is kept of the shots that the detector found: each with frames [start, end) of it, or several such."""
        rules, scan = self.rules, self.scan
        found = boundaries(rules.detector, scan.scores, scan.times, threshold=rules.threshold, min_scene_frames=rules.min_scene_frames)
        return [(shot, piece) for shot in scan.shots(found) if self._judge(shot) for piece in self._pieces(shot)]

    def of_list(self, requests: Sequence[ClipRequest], origin_s: float) -> list[tuple[Shot, Span]]:
        """The spans that a published list asks for, whatever they show; several with the same frames are one. origin_s: see
        `listed_spans`."""
        end_s = self.end_s(self.scan.num_frames)
        listed = listed_spans(self.scan.times, requests, origin_s)
        for request in listed.outside:
            until_s = end_s if request.end_s is None else origin_s + request.end_s
            message = f"is asked for from {request.start_s:g} to {until_s - origin_s:g} s, the video ends at {end_s - origin_s:g}"
            self.left_out.append(LeftOut(origin_s + request.start_s, until_s, DropReason.SPAN_OUTSIDE, message))
        shots = [self.scan.shot(*span) for span in listed.spans]
        return [(shot, (shot.start_frame, shot.end_frame)) for shot in shots if self._is_whole(shot)]

    def long_enough(self, span: Span) -> bool:
        """False where frames [start, end) are shorter than a clip may be, and that is noted."""
        duration_s = self.end_s(span[1]) - self.start_s(span[0])
        least = self.rules.min_clip_s
        return duration_s >= least or self.leave_out(
            span, DropReason.TOO_SHORT, f"lasts {duration_s:.3f} s, less than {least:g} (min_clip_s)"
        )

    def leave_out(self, span: Span, reason: DropReason, message: str) -> bool:
        """Notes it; False."""
        self.left_out.append(LeftOut(self.start_s(span[0]), self.end_s(span[1]), reason, message))
        return False

    def start_s(self, frame: int) -> float:
        """When a frame is shown, on the container's clock."""
        return self.scan.times.seconds(int(self.scan.times.pts[frame]))

    def end_s(self, frame: int) -> float:
        """When the frames before this one have been shown."""
        return self.scan.times.seconds(self.scan.times.end_of(frame - 1))

    def _is_whole(self, shot: Shot) -> bool:
        allowed, num_frames = self.rules.max_damaged_frames, shot.end_frame - shot.start_frame
        if shot.num_damaged <= allowed:
            return True
        message = f"{shot.num_damaged} of {num_frames} frames are damaged, allowed are {allowed} (max_damaged_frames)"
        if self.scan.broken_off and shot.end_frame == self.scan.num_frames:
            message = f"{message}; the file is {self.scan.broken_off}"
        return self.leave_out((shot.start_frame, shot.end_frame), DropReason.DAMAGED, message)

    def _judge(self, shot: Shot) -> bool:
        rules, span = self.rules, (shot.start_frame, shot.end_frame)
        if not self._is_whole(shot):
            return False
        if shot.luma_max <= rules.black_max_luma:
            level, limit = f"{shot.luma_max:.1f}", f"{rules.black_max_luma:g}"
            return self.leave_out(
                span, DropReason.BLACK, f"its brightest frame has {level} of 255, black is up to {limit} (black_max_luma)"
            )
        if shot.motion < rules.min_motion:
            message = f"its motion is {shot.motion:.3f} of 255, less than {rules.min_motion:g} (min_motion)"
            return self.leave_out(span, DropReason.STILL, message)
        return self.long_enough(span)

    def _pieces(self, shot: Shot) -> list[Span]:
        rules, span = self.rules, (shot.start_frame, shot.end_frame)
        pieces = clips_of_shot(self.scan.times, *span, rules.max_clip_s, rules.long_shots, self.video_id)
        if not pieces:
            duration_s = self.end_s(span[1]) - self.start_s(span[0])
            self.leave_out(span, DropReason.TOO_LONG, f"lasts {duration_s:.3f} s, more than {rules.max_clip_s:g} (max_clip_s)")
        return pieces
