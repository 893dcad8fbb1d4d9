"""Hours of audio that a GPU transcribes in an hour: Whisper large-v3 and turbo of the true shapes. Faster-whisper's own batched pipeline
over samples in memory, then our stage from a file to rows; and our recogniser through transformers, windows of 28 s given.

    python benchmarks/gpu/transcribe.py [large-v3 turbo] [--minutes 60] [--batch 16]

Needs torch and transformers, for the first two also faster-whisper, av and something to say (espeakng-loader); what cannot be imported is
named and left out. No Ray, no network, no weights: models are made at random and converted on the spot. Such a model never says that it has
finished, so that each window takes `--tokens` steps (110: the words of 30 s of English). Without a GPU it runs tiny shapes on the CPU
and says so; such figures tell that the script works, and nothing else.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import torch

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models import build_recogniser
from internvid_pipeline.models.tiny_whisper import TINY, WhisperShape, save_tiny_faster_whisper, save_tiny_whisper

IS_FULL = torch.cuda.is_available()
# config.json of openai/whisper-large-v3 and openai/whisper-large-v3-turbo; so many words give their vocabulary of 51,866.
_LARGE: dict[str, Any] = {"d_model": 1280, "heads": 20, "ffn_dim": 5120, "encoder_layers": 32, "num_mel_bins": 128, "words": 49_856}
SHAPES = {
    "large-v3": WhisperShape(**_LARGE, decoder_layers=32, is_spread=False),
    "turbo": WhisperShape(**_LARGE, decoder_layers=4, is_spread=False),
}


def row(model: str, what: str, seconds: float, hours: float, count: int | str = "-") -> None:
    """Prints a line of the table."""
    print(f"| {model} | {what} | {seconds:.1f} | {hours * 3600 / seconds:.0f} | {count} |", flush=True)


def with_faster_whisper(name: str, folder: Path, minutes: float, batch: int, tokens: int) -> None:
    """Both sides over the same audio, each warm. Raises ModuleNotFoundError where a package is missing."""
    import espeakng_loader  # noqa: F401 - what the sentences are spoken with
    import speech as on_cpu
    from faster_whisper import BatchedInferencePipeline

    shape, dtype = (SHAPES[name], "float16") if IS_FULL else (TINY, "float32")
    preset = save_tiny_faster_whisper(folder / name, shape, dtype)
    preset = preset.model_copy(update={"batch_size": batch, "max_new_tokens": tokens, "gpus": 1.0 if IS_FULL else 0.0})
    hours, samples = minutes / 60, on_cpu.made_audio(minutes)
    paths = {length: folder / f"{length:g}.mkv" for length in (2.0, minutes)}
    for length, path in paths.items():
        on_cpu.write_sound(path, length)
    stage, video = on_cpu.stage_over(preset, paths[minutes], 3600 * hours)
    pipeline = BatchedInferencePipeline(stage._recogniser._whisper)  # type: ignore[union-attr]
    options = {"batch_size": batch, "beam_size": 1, "word_timestamps": True, "max_new_tokens": tokens, "temperature": 0.0}

    def theirs(sound: Any) -> None:
        segments, _ = pipeline.transcribe(sound, language="en", multilingual=True, **options)
        list(segments)

    theirs(samples[: 120 * 16_000])
    start = time.perf_counter()
    theirs(samples)
    row(name, "faster-whisper's batches, samples in memory", time.perf_counter() - start, hours)
    on_cpu.through(stage, on_cpu.video_row(paths[2.0], 120.0))
    start = time.perf_counter()
    outcome = on_cpu.through(stage, video)
    row(name, "ours, from the file to rows", time.perf_counter() - start, hours, sum(len(one.utterances) for one in outcome.records))
    stage.teardown()


def with_transformers(name: str, folder: Path, minutes: float, batch: int, tokens: int) -> None:
    """The second adapter, without voice activity: windows of 28 s of noise."""
    preset: ModelPreset = save_tiny_whisper(folder / f"{name}-plain", SHAPES[name] if IS_FULL else TINY)
    recogniser = build_recogniser(preset.model_copy(update={"batch_size": batch, "max_new_tokens": tokens}))
    chance = np.random.default_rng(1)
    windows = [chance.normal(0, 0.1, 28 * 16_000).astype(np.float32) for _ in range(max(1, round(minutes * 60 / 28)))]
    recogniser.recognise(windows[:batch], "en")
    start = time.perf_counter()
    recogniser.recognise(windows, "en")
    row(name, "our adapter of transformers, windows given", time.perf_counter() - start, len(windows) * 28 / 3600)


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(SHAPES)}; default: both")
    parser.add_argument("--minutes", type=float, default=60 if IS_FULL else 4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=110 if IS_FULL else 12)
    given = parser.parse_args()
    print(
        f"{torch.cuda.get_device_name() if IS_FULL else 'no GPU: tiny shapes on the CPU, figures mean nothing'}; torch {torch.__version__}"
    )
    print("| model | what | seconds | hours of audio per hour | utterances |\n|---|---|--:|--:|--:|")
    for name in given.models or SHAPES:
        for measure in (with_faster_whisper, with_transformers):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    measure(name, Path(folder), given.minutes, given.batch, given.tokens)
                except ModuleNotFoundError as error:
                    print(f"| {name} | {measure.__name__}: not measured, package {error.name} is not installed | - | - | - |", flush=True)
            if IS_FULL:
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
