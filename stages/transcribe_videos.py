"""What is said in a video, with times: subtitles first, then a speech recogniser (InternVid had YouTube's subtitles, section 3.1;
InternVid2 Whisper large-v2, appendix B). Once per video, on its own sound; `align_speech` cuts it to clips.

Subtitles that people made in the language spoken are better than any recogniser, and spare it; all others are kept beside it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.errors import ItemError, is_machine_fault
from internvid_pipeline.media.container import quiet_ffmpeg
from internvid_pipeline.media.limits import MediaLimits, work_deadline_s
from internvid_pipeline.media.speech_audio import AudioTrack, audio_tracks, choose_tracks, read_sound
from internvid_pipeline.models.listening import ListenConfig, Lost, ahead, hear, in_language, utterances_of, with_english
from internvid_pipeline.models.speech_windows import SpeechWindow, speech_windows
from internvid_pipeline.models.voice import VoiceConfig
from internvid_pipeline.records import DropReason, SpeechSource, TranscriptRecord, Utterance, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Fail, Item, Outcome, PartDrop, Resources, Stage, WorkerContext
from internvid_pipeline.text.languages import UNKNOWN, bcp47, same_language
from internvid_pipeline.text.transcripts import main_language, sidecar_files, subtitle_utterances

_PER_SECOND_S = 20.0  # large-v3 on a slow CPU


class TranscribeVideosConfig(Section):
    """Which transcripts are made."""

    subtitles: bool = Field(default=True, description="Read the subtitles that were downloaded with the video.")
    sidecars: bool = Field(default=True, description="Read name.vtt, name.en.vtt, name.srt beside a local file name.mp4; a person's work.")
    recogniser: PresetField | None = Field(
        default_factory=lambda: load_preset("whisper-large-v3"),
        description="Preset of a speech recogniser; InternVid2's is whisper-large-v2 (appendix B); null: subtitles only.",
    )
    recognise: Literal["unless_manual", "always"] = Field(
        default="unless_manual", description="unless_manual: not where people's subtitles in the spoken language are there."
    )
    in_english: bool = Field(
        default=False, description="Ask the recogniser also for its own English translation of other languages (Whisper's translate task)."
    )
    tracks: tuple[str, ...] = Field(
        default=("default",), min_length=1, description="Audio tracks: default, all, or languages such as en; each gives a transcript."
    )
    voice: VoiceConfig = Field(default_factory=VoiceConfig, description="When a sound is speech.")
    listen: ListenConfig = Field(default_factory=ListenConfig, description="How speech becomes utterances, and what is not believed.")
    limits: MediaLimits = Field(default_factory=MediaLimits, description="Files that show more are failures.")

    @field_validator("recogniser")
    @classmethod
    def _recogniser(cls, preset: ModelPreset | None) -> ModelPreset | None:
        return preset and models.check_preset(preset, "speech")


@dataclass(slots=True)
class _Track:
    """A transcript by the recogniser, under way."""

    said: list[Utterance] = field(default_factory=list)
    in_english: list[Utterance] = field(default_factory=list)


@dataclass(slots=True)
class _Job:
    """A video under way. path: its local file, None while nothing is to be heard. tracks: by stream. losses: named, with their track."""

    video: VideoRecord
    path: Path | None = None
    rows: list[TranscriptRecord] = field(default_factory=list)
    tracks: dict[int, _Track] = field(default_factory=dict)
    losses: list[PartDrop] = field(default_factory=list)
    error: ItemError | None = None
    has_sound: bool = True


class TranscribeVideos(Stage[TranscribeVideosConfig, VideoRecord, TranscriptRecord]):
    """One row per video and transcript. A video in which nobody speaks is dropped, which leaves its clips in the set."""

    name = "transcribe_videos"
    config_type = TranscribeVideosConfig
    reads = VideoRecord
    writes = TranscriptRecord

    @property
    def resources(self) -> Resources:
        """As the preset says; several videos at once, so that short ones fill a batch too."""
        preset = self.config.recogniser
        if preset is None:
            return Resources(cpus=0.5, memory_mb=1000)
        return Resources(cpus=1, gpus=preset.gpus, memory_mb=1000 + preset.memory_mb, batch_size=4, load_threads=1)

    def deadline_s(self, record: VideoRecord) -> float:
        """Scaled by the length."""
        return work_deadline_s(self.config.limits, _PER_SECOND_S, record.duration_s, record.media.size_bytes, 0, 0)

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        if self.config.recogniser is not None:
            models.fetch_weights(self.config.recogniser)

    def setup(self, worker: WorkerContext) -> None:
        """The model into memory."""
        super().setup(worker)
        quiet_ffmpeg()
        self._recogniser = models.build_recogniser(self.config.recogniser) if self.config.recogniser is not None else None

    def teardown(self) -> None:
        """Lets go of the model."""
        self._recogniser = None

    def process(self, batch: Sequence[Item[VideoRecord]]) -> list[Outcome[TranscriptRecord]]:
        """Subtitles of each, then the windows of speech of all of them through the recogniser."""
        jobs = [self._begun(item.record) for item in batch]
        if self._recogniser is not None:
            self._listen(jobs, self._recogniser)
        return [self._outcome(job) for job in jobs]

    def _begun(self, video: VideoRecord) -> _Job:
        """The video's subtitles, and whether its sound is to be heard."""
        job = _Job(video)
        for kind, code, data in self._subtitles(video):
            track = f"{code or UNKNOWN}"
            said, lost = subtitle_utterances(data, bcp47(code), video.start_s)
            if said:
                source = SpeechSource.MANUAL if kind == "manual" else SpeechSource.AUTOMATIC
                job.rows.append(_row(video, source, track, said))
            else:
                lost.append((0.0, 0.0, DropReason.SUBTITLES, "holds no cues that can be read"))
            job.losses += [_part(video, f"{kind}_subtitles/{track}", Lost(*one)) for one in lost]
        job.has_sound = video.num_audio_streams > 0
        try:
            if self._recogniser is not None and job.has_sound:
                job.path = self.worker.root.local_file(video.media, self.worker.scratch)
                tracks = choose_tracks(audio_tracks(job.path, self.config.limits), self.config.tracks)
                job.tracks = {track.index: _Track() for track in tracks if not self._is_covered(job, track, self._recogniser)}
        except ItemError as error:
            job.error = error
        return job

    def _subtitles(self, video: VideoRecord) -> Iterator[tuple[str, str, bytes]]:
        """Kind, code and content."""
        if self.config.subtitles:
            for one in video.subtitles:
                yield one.kind, one.language, self.worker.root.read_media(one.media)
        if self.config.sidecars:
            for code, path in sidecar_files(video.source_uri):
                try:
                    yield "manual", code, path.read_bytes()
                except OSError as error:
                    if is_machine_fault(error):
                        raise

    def _is_covered(self, job: _Job, track: AudioTrack, recogniser: models.SpeechRecogniser) -> bool:
        """True where people wrote down what is said in the language in which it is said."""
        written = [row.language for row in job.rows if row.source == SpeechSource.MANUAL and row.language != UNKNOWN]
        if self.config.recognise == "always" or not written:
            return False
        known = [bcp47(track.language)]
        if track.is_default:  # what is known of the video is not known of a second track
            known += [bcp47(job.video.language), *(row.language for row in job.rows if row.source == SpeechSource.AUTOMATIC)]
        spoken = next((code for code in known if code != UNKNOWN), UNKNOWN)
        if spoken == UNKNOWN:
            first = next(self._windows_of(job, track.index), None)
            spoken = recogniser.languages([first.samples])[0][0] if first is not None else UNKNOWN
        return any(same_language(spoken, code) for code in written)

    def _windows_of(self, job: _Job, index: int) -> Iterator[SpeechWindow]:
        assert job.path is not None
        blocks = read_sound(job.path, index, self.config.limits)
        return speech_windows(blocks, self.config.voice, self.config.listen.max_gap_s)

    def _windows(self, jobs: Sequence[_Job]) -> Iterator[tuple[tuple[int, int], SpeechWindow]]:
        """All windows of all videos; a video that cannot be read on fails alone."""
        for number, job in enumerate(jobs):
            try:
                for index in job.tracks:
                    for window in self._windows_of(job, index):
                        yield (number, index), window
            except ItemError as error:
                job.error = error
            finally:
                if job.path is not None and self.worker.scratch in job.path.parents:  # a copy of a remote file
                    job.path.unlink(missing_ok=True)

    def _listen(self, jobs: Sequence[_Job], recogniser: models.SpeechRecogniser) -> None:
        config, size = self.config.listen, recogniser.batch_size
        heard = hear(ahead(self._windows(jobs), size), recogniser, size, config)
        entries = with_english(heard, recogniser) if self.config.in_english else ((*entry, None) for entry in heard)
        for (number, index), window, found, english in entries:
            job = jobs[number]
            said, lost = utterances_of(window, found, config)
            job.tracks[index].said += said
            if said and english is not None:
                translated, unsaid = utterances_of(window, english, config)
                job.tracks[index].in_english += in_language(translated, "en")
                lost += unsaid
            job.losses += [_part(job.video, f"{SpeechSource.RECOGNISED}/audio-{index}", one) for one in lost]

    def _outcome(self, job: _Job) -> Outcome[TranscriptRecord]:
        if job.error is not None and not job.rows:
            return Fail(type(job.error).__name__, str(job.error))
        if job.error is not None:  # its subtitles are whole
            job.losses.append(PartDrop(f"{job.video.video_id}/{SpeechSource.RECOGNISED}", DropReason.DAMAGED, str(job.error)))
        for index, track in job.tracks.items():
            for source, said in ((SpeechSource.RECOGNISED, track.said), (SpeechSource.RECOGNISED_ENGLISH, track.in_english)):
                if said:
                    job.rows.append(_row(job.video, source, f"audio-{index}", said, self._recogniser))
        if job.rows:
            return Emit(tuple(job.rows), tuple(job.losses))
        if not job.has_sound:
            return Drop(DropReason.NO_SOUND, "no audio stream and no subtitles", tuple(job.losses))
        heard = f"nobody is heard to speak in {len(job.tracks)} audio tracks" if job.tracks else "no subtitles, and nothing was listened to"
        return Drop(DropReason.NO_SPEECH, heard, tuple(job.losses))


def _part(video: VideoRecord, name: str, lost: Lost) -> PartDrop:
    return PartDrop(f"{video.video_id}/{name}/{lost.start_s:.2f}-{lost.end_s:.2f}", lost.reason, lost.message)


def _row(
    video: VideoRecord, source: SpeechSource, track: str, said: Sequence[Utterance], model: models.SpeechRecogniser | None = None
) -> TranscriptRecord:
    language, probability = main_language(said)
    return TranscriptRecord(
        video_id=video.video_id,
        source=source.value,
        track=track,
        language=language,
        language_probability=probability,
        speech_s=round(sum(one.end_s - one.start_s for one in said), 3),
        model=model.name if model else "",
        model_commit=model.commit if model else "",
        is_stand_in=model.is_stand_in if model else False,
        utterances=tuple(said),
    )
