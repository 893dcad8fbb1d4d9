"""What transcribing costs over faster-whisper's own batched pipeline on the same audio, that memory does not grow with the length, and what
junk costs the parser of subtitles.

    python benchmarks/speech.py overhead [--minutes 10] [--repeats 3] [--gaps 3600 3]
    python benchmarks/speech.py memory [--minutes 1 300]
    python benchmarks/speech.py junk [--megabytes 2.5 5 10]

The first two use a tiny Whisper with random weights, made on the spot: nothing hides what we add. CPU seconds of this process, each side in
turn, in one run. `overhead`: the audio lies in memory on both sides; `memory`: the whole stage over a video's file, in a process for each
length; `junk`: from bytes to utterances.
"""

import argparse
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from internvid_pipeline.config.presets import ModelPreset  # noqa: E402
from internvid_pipeline.records import MediaRef, TranscriptRecord, VideoRecord  # noqa: E402
from internvid_pipeline.stage import Emit, Item, Resources, WorkerContext  # noqa: E402
from internvid_pipeline.storage import Root  # noqa: E402
from stages.transcribe_videos import TranscribeVideos, TranscribeVideosConfig  # noqa: E402
from tests.made_records import made_video  # noqa: E402
from tests.spoken import RATE_HZ, SENTENCES, rain, silence, spoken  # noqa: E402

BATCH = 16


def made_audio(minutes: float) -> np.ndarray:
    """Sentences in ten languages with pauses between them; a sixth of it rain."""
    parts = [part for code in SENTENCES for part in (spoken(code), silence(0.4))] + [rain(10)]
    once = np.concatenate(parts)
    count = round(minutes * 60 * RATE_HZ)
    return np.tile(once, -(-count // once.shape[0]))[:count]


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process and its threads."""
    before = time.process_time()
    work()
    return time.process_time() - before


def overhead(minutes: float, repeats: int, language: str | None, max_gap_s: float) -> None:
    """Both sides by turns; the median of each."""
    from faster_whisper import BatchedInferencePipeline

    from internvid_pipeline.media.speech_audio import SoundBlock
    from internvid_pipeline.models import build_recogniser, tiny_whisper
    from internvid_pipeline.models.listening import GuardConfig, ListenConfig, ahead, hear, utterances_of
    from internvid_pipeline.models.speech_windows import speech_windows
    from internvid_pipeline.models.voice import VoiceConfig

    audio = made_audio(minutes)
    with tempfile.TemporaryDirectory() as folder:
        preset = tiny_whisper.save_tiny_faster_whisper(Path(folder) / "converted").model_copy(
            update={"batch_size": BATCH, "max_new_tokens": 100}
        )
        recogniser = build_recogniser(preset)
        pipeline = BatchedInferencePipeline(recogniser._whisper)  # type: ignore[attr-defined]
        guards = GuardConfig(mean_log_probability=-100, compression_ratio=1000, repeated_share=1, most_chars_per_s=10_000)
        config = ListenConfig(guards=guards, min_language_probability=0, max_gap_s=max_gap_s)
        counts: dict[str, int] = {}

        def theirs() -> None:
            # Their defaults for batches, with word times, and as many tokens.
            options = {"batch_size": BATCH, "beam_size": 1, "word_timestamps": True, "max_new_tokens": 100}
            segments, _ = pipeline.transcribe(audio, language="en", multilingual=language is None, **options)
            counts["theirs"] = sum(len(segment.words or []) for segment in segments)

        def ours() -> None:
            block = 10 * RATE_HZ
            blocks = (SoundBlock(start, audio[start : start + block]) for start in range(0, audio.shape[0], block))
            windows = (("audio", window) for window in speech_windows(blocks, VoiceConfig(), config.max_gap_s))
            size = recogniser.batch_size
            counts["ours"] = counts["our windows"] = 0
            for _, window, said in hear(ahead(windows, size), recogniser, size, config, language):
                counts["ours"] += sum(len(one.words) for one in utterances_of(window, said, config)[0])
                counts["our windows"] += 1

        theirs(), ours()  # what is loaded at first use
        found = [(cpu_s(theirs), cpu_s(ours)) for _ in range(repeats)]
    first, second = (statistics.median(values) for values in zip(*found, strict=True))
    heard = f"language {language or 'of each window'}, gaps up to {max_gap_s:g} s"
    print(f"{minutes:g} min, {heard}: faster-whisper {first:.2f} CPU s, ours {second:.2f} CPU s: {second / first - 1:+.1%}")
    turns = [(round(a, 2), round(b, 2)) for a, b in found]
    print(f"  words {counts['theirs']} and {counts['ours']}; our windows {counts['our windows']}; each turn {turns}", flush=True)


def write_sound(path: Path, minutes: float) -> None:
    """The audio as FLAC in Matroska: the packets of one minute over and over."""
    import av

    once = made_audio(min(1.0, minutes))
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray((once[None] * 32767).astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        packets = [(bytes(one), one.pts, one.duration) for one in (*stream.encode(frame), *stream.encode(None)) if one.size]
        for turn in range(math.ceil(minutes)):
            for data, pts, duration in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, RATE_HZ), True
                packet.pts = packet.dts = pts + turn * once.shape[0]
                packet.duration = duration
                container.mux(packet)


def stage_over(preset: ModelPreset, path: Path, seconds: float) -> tuple[TranscribeVideos, VideoRecord]:
    """The stage with its model in memory, which believes all that it hears, and the row of a video."""
    guards = {"mean_log_probability": -100, "compression_ratio": 1000, "repeated_share": 1, "most_chars_per_s": 10_000}
    listen = {"guards": guards, "min_language_probability": 0}
    stage = TranscribeVideos(TranscribeVideosConfig.model_validate({"recogniser": preset.model_dump(), "listen": listen}))
    stage.setup(WorkerContext(root=Root("/"), scratch=path.parent / "scratch", resources=Resources()))
    return stage, video_row(path, seconds)


def video_row(path: Path, seconds: float) -> VideoRecord:
    """The row of a file with one track of sound."""
    return made_video("v", source_uri=str(path), media=MediaRef(uri=str(path)), duration_s=seconds, num_audio_streams=1)


def through(stage: TranscribeVideos, video: VideoRecord) -> Emit[TranscriptRecord]:
    """The transcripts of a video. Raises RuntimeError where there are none."""
    (outcome,) = stage.process([Item(video)])
    if not isinstance(outcome, Emit):
        raise RuntimeError(f"nothing was heard: {outcome}")
    return outcome


def one_length(path: str, preset_folder: str, seconds: float) -> None:
    """The stage over one file; prints peak memory and CPU seconds. Runs in a process of its own."""
    fields = {"name": "tiny", "task": "speech", "adapter": "faster-whisper", "repository": preset_folder, "dtype": "float32"}
    stage, video = stage_over(ModelPreset(**fields, max_new_tokens=20, batch_size=BATCH), Path(path), seconds)
    start = time.process_time()
    outcome = through(stage, video)
    used = time.process_time() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    count = sum(len(row.utterances) for row in outcome.records)
    print(f"{seconds / 60:.0f} min: peak {peak_mb:.0f} MB, {used:.1f} CPU s, {count} utterances", flush=True)


def memory(lengths_min: list[float]) -> None:
    """Each length in a process of its own."""
    from internvid_pipeline.models import tiny_whisper

    with tempfile.TemporaryDirectory() as folder:
        preset = tiny_whisper.save_tiny_faster_whisper(Path(folder) / "converted")
        for minutes in lengths_min:
            path = Path(folder) / f"{minutes:g}.mkv"
            write_sound(path, minutes)
            command = [sys.executable, __file__, "one", str(path), preset.repository, str(minutes * 60)]
            subprocess.run(command, check=True)


_CUE = "00:00:{0:02d}.000 --> 00:00:{1:02d}.000\n"
# A piece of each file, repeated up to its size.
JUNK = {
    "WebVTT": "".join(_CUE.format(n, n + 1) + f"<v Anna>Sentence <i>number</i> {n} of many &amp; more\n\n" for n in range(50)),
    "SubRip": "".join(f"{n}\n" + _CUE.format(n, n + 1).replace(".", ",") + f"{{\\an8}}Sentence number {n}\n\n" for n in range(50)),
    "rolling": "".join(
        _CUE.format(n, n + 1) + f"line {n - 1} of it\nline<00:00:{n:02d}.300><c> {n}</c><00:00:{n:02d}.600><c> of it</c>\n\n"
        for n in range(1, 50)
    ),
    "Chinese": _CUE.format(1, 2) + "今天天气很好所以我们去公园散步" * 600 + "\n\n",
    "one word": _CUE.format(1, 2) + "中" + "a" * 9_000 + "\n\n",
    "brackets": _CUE.format(1, 2) + "[aaaa (♪" * 1200 + "\n\n",
    "times": _CUE.format(1, 2),
    "word times": _CUE.format(1, 2) + "<00:00:01.500>" * 700 + "\n\n",
    "one line": "00:00:01.000 --> ",
    "tags": "<c><",
    "noise": np.random.default_rng(1).integers(0, 256, 100_000, dtype=np.uint8).tobytes().decode("latin-1"),
}


def junk(megabytes: list[float]) -> None:
    """CPU seconds and what came out."""
    from internvid_pipeline.text.transcripts import subtitle_utterances

    print(f"| {' | '.join(['file', *(f'{size:g} MB, CPU s' for size in megabytes), 'utterances', 'lost'])} |")
    for name, piece in JUNK.items():
        unit = piece.encode()
        cells = []
        for size in megabytes:
            data = b"WEBVTT\n\n" + unit * round(size * 1e6 / len(unit))
            start = time.process_time()
            said, lost = subtitle_utterances(data, "en", 0.0)
            cells.append(f"{time.process_time() - start:.2f}")
        print(f"| {' | '.join([name, *cells, str(len(said)), str(len(lost))])} |", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    first = parts.add_parser("overhead")
    first.add_argument("--minutes", type=float, default=10)
    first.add_argument("--repeats", type=int, default=3)
    first.add_argument("--gaps", type=float, nargs="+", help="seconds, each measured in turn; else the default, and 3600 for their windows")
    second = parts.add_parser("memory")
    second.add_argument("--minutes", type=float, nargs="+", default=[1, 60, 300])
    fourth = parts.add_parser("junk")
    fourth.add_argument("--megabytes", type=float, nargs="+", default=[2.5, 5, 10])
    third = parts.add_parser("one")
    third.add_argument("arguments", nargs=3)
    given = parser.parse_args()
    if given.what == "overhead":
        from internvid_pipeline.models.listening import ListenConfig

        for language in ("en", None):
            for max_gap_s in given.gaps or (ListenConfig().max_gap_s, 3600):
                overhead(given.minutes, given.repeats, language, max_gap_s)
    elif given.what == "memory":
        memory(given.minutes)
    elif given.what == "junk":
        junk(given.megabytes)
    else:
        one_length(given.arguments[0], given.arguments[1], float(given.arguments[2]))


if __name__ == "__main__":
    main()
