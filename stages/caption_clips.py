"""Captions at four scales. Three as InternVid made them (arXiv:2307.06942, section 3.2): coarse from the middle frame, fine frame by frame,
fused from both by a language model; and `vlm`, by one model that sees several frames with their times.

Ours differs: Tag2Text, the paper's model for single frames, has no package that is still looked after, so a captioner takes its place; and
frames that look like the one before are not asked about again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from internvid_pipeline import models
from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.caption_scales import CaptionClipsConfig, CoarseConfig, FusedConfig, VlmConfig, prompt_of
from internvid_pipeline.records import CaptionRecord, CaptionScale, ClipRecord, DropReason, FrameRef
from internvid_pipeline.stage import Drop, Emit, Fail, Item, Outcome, PartDrop, Resources, Stage, WorkerContext

_LOAD_THREADS = 8
# Answers are taken in the order of the clips: with twice as many under way as are asked at once, one that is slow, or asked again, left a
# quarter of the server idle (benchmarks/endpoint.py); with four times as many it does not.
WINDOW = 4


@dataclass(frozen=True, slots=True)
class _Payload:
    """What `load` read: pictures as their models want them, by model and source frame number; which of them each scale shows; and what the
    video captioner has made of its frames."""

    images: dict[tuple[ModelPreset, int], models.RgbImage]
    coarse: tuple[int, ...] = ()
    fine: tuple[int, ...] = ()
    vlm: tuple[int, ...] = ()
    vlm_prepared: Any = None


@dataclass(frozen=True, slots=True)
class _Question:
    """One picture for one captioner. Equal questions of two scales are asked once."""

    position: int
    frame: int
    model: ModelPreset
    prompt: str | None


@dataclass
class _Found:
    """Of one clip: its rows so far, and scales that gave no caption."""

    rows: list[CaptionRecord] = field(default_factory=list)
    lost: list[PartDrop] = field(default_factory=list)
    failed: list[tuple[str, Exception]] = field(default_factory=list)


class CaptionClips(Stage[CaptionClipsConfig, ClipRecord, CaptionRecord]):
    """One row per clip and scale. A scale whose text is no caption (empty, a refusal, a loop, cut off) is dropped as a part of its clip; a
    clip without any caption is dropped."""

    name = "caption_clips"
    version = 3
    config_type = CaptionClipsConfig
    reads = ClipRecord
    writes = CaptionRecord

    @property
    def resources(self) -> Resources:
        """The models share a worker: the largest share of a GPU, the sum of main memory. An endpoint's requests go out as clips are loaded,
        which runs ahead by WINDOW times as many clips as it takes requests."""
        presets = self.config.presets
        endpoints = [WINDOW * preset.endpoint.max_in_flight for preset in presets if preset.endpoint is not None]
        return Resources(
            gpus=max(preset.gpus for preset in presets),
            memory_mb=1000 + sum(preset.memory_mb for preset in presets),
            batch_size=max(preset.batch_size for preset in presets if preset.task != "summary"),
            load_threads=max([_LOAD_THREADS, *endpoints]),
        )

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        for preset in self.config.presets:
            models.fetch_weights(preset)

    def setup(self, worker: WorkerContext) -> None:
        """Each model into memory once, even where two scales use it."""
        super().setup(worker)
        self._captioners = {preset: models.build_captioner(preset) for preset in self.config.presets if preset.task == "caption"}
        self._summariser = models.build_summariser(self.config.fused.model) if self.config.fused else None
        self._video_captioner = models.build_video_captioner(self.config.vlm.model) if self.config.vlm else None

    def load(self, record: ClipRecord) -> _Payload:
        """The frames to show, decoded and scaled. Raises ItemError where one is broken."""
        middle = sorted(record.frames, key=lambda frame: (abs(frame.frame - record.middle_frame), frame.frame))[:1]
        coarse = tuple(frame.frame for frame in middle) if self.config.coarse else ()
        fine = self._fine_frames(record)
        needed = {frame.frame: frame for frame in [*(middle if self.config.coarse else []), *fine]}
        pictures: dict[int, models.RgbImage] = {}
        if self._captioners:
            pictures = dict(zip(needed, models.read_frames(self.worker.root, record, list(needed.values())), strict=True))
        if self.config.fine is not None:
            changed = models.changed_frames([pictures[frame.frame] for frame in fine], self.config.fine.min_change)
            fine = [fine[i] for i in changed]
        payload = _Payload({}, coarse, tuple(frame.frame for frame in fine))
        for _, config, frames in self._scales(payload):
            for frame in frames:
                if (config.model, frame) not in payload.images:
                    payload.images[config.model, frame] = self._captioners[config.model].prepared(pictures[frame])
        return self._with_video(record, payload)

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[CaptionRecord]]:
        """All pictures of the batch in one call of each captioner, then all texts in one call of the summariser, then all videos."""
        payloads: list[_Payload] = [item.payload for item in batch]
        clips = [item.record for item in batch]
        answers = self._ask(payloads)
        found = [self._frame_rows(i, clips[i], payload, answers) for i, payload in enumerate(payloads)]
        self._fuse(clips, found)
        self._add_videos(clips, payloads, found)
        return [self._outcome(one) for one in found]

    def teardown(self) -> None:
        """Lets go of the models."""
        if self._video_captioner is not None:
            self._video_captioner.close()
        self._captioners = {}
        self._summariser = self._video_captioner = None

    def _fine_frames(self, clip: ClipRecord) -> list[FrameRef]:
        fine = self.config.fine
        if fine is None:
            return []
        wanted = max(fine.min_frames, int(clip.duration_s * fine.frames_per_second))
        return models.evenly_spread(clip.frames, min(wanted, fine.max_frames))

    def _with_video(self, clip: ClipRecord, payload: _Payload) -> _Payload:
        config, captioner = self.config.vlm, self._video_captioner
        if config is None or captioner is None:
            return payload
        shown = models.evenly_spread(clip.frames, config.num_frames)
        video = models.VideoFrames(
            jpegs=tuple(models.read_jpegs(self.worker.root, clip, shown)),
            times_s=tuple(max(0.0, frame.time_s - clip.start_s) for frame in shown),
            duration_s=clip.duration_s,
            what=f"clip {clip.clip_id}",
        )
        prepared = captioner.prepared(video, prompt_of(config) or "")
        return _Payload(payload.images, payload.coarse, payload.fine, tuple(frame.frame for frame in shown), prepared)

    def _scales(self, payload: _Payload) -> Iterator[tuple[CaptionScale, CoarseConfig, tuple[int, ...]]]:
        if self.config.coarse is not None:
            yield CaptionScale.COARSE, self.config.coarse, payload.coarse
        if self.config.fine is not None:
            yield CaptionScale.FINE, self.config.fine, payload.fine

    def _ask(self, payloads: Sequence[_Payload]) -> dict[_Question, models.Answer]:
        questions = dict.fromkeys(
            _Question(i, frame, config.model, prompt_of(config))
            for i, payload in enumerate(payloads)
            for _, config, frames in self._scales(payload)
            for frame in frames
        )
        answers: dict[_Question, models.Answer] = {}
        for model, prompt in dict.fromkeys((question.model, question.prompt) for question in questions):
            asked = [question for question in questions if (question.model, question.prompt) == (model, prompt)]
            captioner = self._captioners[model]
            found = captioner.captions([payloads[question.position].images[model, question.frame] for question in asked], prompt)
            answers.update(zip(asked, models.one_each(captioner, found, len(asked)), strict=True))
        return answers

    def _frame_rows(self, position: int, clip: ClipRecord, payload: _Payload, answers: dict[_Question, models.Answer]) -> _Found:
        """Texts that are no captions are left out frame by frame; the scale is lost where none is left. Tokens: of all frames."""
        found = _Found()
        for scale, config, frames in self._scales(payload):
            said = [answers[_Question(position, frame, config.model, prompt_of(config))] for frame in frames]
            faults = [models.fault_of(answer) for answer in said]
            text = models.joined_once(answer.text for answer, fault in zip(said, faults, strict=True) if fault is None)
            if text:
                counts = [answer.num_tokens for answer in said if answer.num_tokens is not None]
                num_tokens = sum(counts) if len(counts) == len(said) else None
                found.rows.append(self._row(clip, scale, text, self._captioners[config.model], prompt_of(config), frames, num_tokens))
            else:
                fault = next((fault for fault in faults if fault), (DropReason.EMPTY_CAPTION, "the model said nothing"))
                found.lost.append(PartDrop(f"{clip.clip_id}/{scale.value}", *fault))
        return found

    def _fuse(self, clips: Sequence[ClipRecord], found: Sequence[_Found]) -> None:
        """Adds the fused row to each clip that has a text."""
        config, summariser = self.config.fused, self._summariser
        if config is None or summariser is None:
            return
        chosen = [i for i in range(len(found)) if found[i].rows]
        inputs = [models.joined_once(sentence for row in found[i].rows for sentence in row.text.split(". ")) for i in chosen]
        answers = models.one_each(summariser, summariser.summaries(inputs, prompt_of(config)), len(inputs))
        for i, answer in zip(chosen, answers, strict=True):
            frames = tuple(sorted({frame for row in found[i].rows for frame in row.frames}))
            self._judge(found[i], clips[i], CaptionScale.FUSED, answer, summariser, config, frames)

    def _add_videos(self, clips: Sequence[ClipRecord], payloads: Sequence[_Payload], found: Sequence[_Found]) -> None:
        config, captioner = self.config.vlm, self._video_captioner
        if config is None or captioner is None:
            return
        answers = models.one_each(captioner, captioner.answers([payload.vlm_prepared for payload in payloads]), len(payloads))
        for clip, payload, one, answer in zip(clips, payloads, found, answers, strict=True):
            self._judge(one, clip, CaptionScale.VLM, answer, captioner, config, payload.vlm)

    def _judge(
        self,
        found: _Found,
        clip: ClipRecord,
        scale: CaptionScale,
        answer: models.Answer,
        model: models.Model,
        config: FusedConfig | VlmConfig,
        frames: tuple[int, ...],
    ) -> None:
        """Adds the row of a text that is a caption, or what is wrong with it."""
        if answer.error is not None:
            found.failed.append((scale.value, answer.error))
            return
        fault = models.fault_of(answer)
        if fault is not None:
            found.lost.append(PartDrop(f"{clip.clip_id}/{scale.value}", *fault))
        else:
            found.rows.append(self._row(clip, scale, answer.text, model, prompt_of(config), frames, answer.num_tokens))

    def _outcome(self, found: _Found) -> Outcome[CaptionRecord]:
        """A scale that could not be asked fails the clip: emitted without it, nobody would ask again."""
        if found.failed:
            scale, error = found.failed[0]
            return Fail(type(error).__name__, f"{scale}: {error}")
        if found.rows:
            return Emit(tuple(found.rows), tuple(found.lost))
        first = found.lost[0]
        return Drop(first.reason, first.message, tuple(found.lost) if len(found.lost) > 1 else ())

    def _row(
        self,
        clip: ClipRecord,
        scale: CaptionScale,
        text: str,
        model: models.Model,
        prompt: str | None,
        frames: tuple[int, ...],
        num_tokens: int | None = None,
    ) -> CaptionRecord:
        return CaptionRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            scale=scale.value,
            text=text,
            language=self.config.language,
            model=model.name,
            model_commit=model.commit,
            prompt=prompt,
            frames=frames,
            is_stand_in=model.is_stand_in,
            num_tokens=num_tokens,
        )
