"""What a GPU does with us, beside what it can do: embeddings and captions from JPEG frames in a tar to rows, against a plain batched
forward of the same model on tensors that are on the GPU already, and against the loop that one writes first (one clip at a time).

    python benchmarks/gpu/models.py [clip blip2 qwen] [--seconds 540]

Needs torch, transformers and (for CLIP) open_clip; no Ray, no network, no weights: models of the true shapes are made at random, on the
GPU. The stages run in this process as a worker runs them: frames are read ahead in threads, batches go over clips. A part that fails is a
line of the table, lines are printed as soon as they are known, and the number of clips follows from the seconds that are left. Without a
GPU it runs tiny shapes on the CPU and says so; such figures tell that the script works, and nothing else.
"""

import argparse
import gc
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import shapes
import torch

from internvid_pipeline.config import validated
from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.engine.workers.worker import StageWorker
from internvid_pipeline.models import read_frames
from internvid_pipeline.models.caption_scales import CaptionClipsConfig
from internvid_pipeline.records import ClipRecord
from internvid_pipeline.stage import Fail, Item, Stage, WorkerContext
from internvid_pipeline.storage import Root
from stages.caption_clips import CaptionClips
from stages.embed_frames import EmbedFrames, EmbedFramesConfig

IS_FULL = torch.cuda.is_available()
CLIPS, NAIVE_CLIPS = (4096, 12) if IS_FULL else (64, 8)
CAPTION_CLIPS = 512 if IS_FULL else 24
PROMPT = "Describe this video in one or two sentences."
# Dense bf16 operations a second, from NVIDIA's data sheets.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
CLIP_FLOP = 162e9  # of one picture of 224 x 224 through ViT-L/14: twice 81 G multiply-adds
PARTS = ("clip", "blip2", "qwen")
Row = tuple[str, str, str, str, str]


def seconds(run: Callable[[], Any]) -> float:
    """Wall seconds, the device's work included."""
    if IS_FULL:
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if IS_FULL:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def clips_per_s(stage: Stage[Any, Any, Any], root: Path, clips: Sequence[ClipRecord], most_s: float) -> float:
    """Of a stage that works as in a worker, its model loaded and warm, over as many clips as fit into `most_s`. Raises RuntimeError where a
    clip fails."""
    worker = StageWorker(stage, WorkerContext(root=Root(str(root)), scratch=root / "scratch", resources=stage.resources))

    def run(chosen: Sequence[ClipRecord]) -> None:
        outcomes: list[Any] = []
        worker.run([(i, Item(clip)) for i, clip in enumerate(chosen)], lambda index: None, lambda index, outcome: outcomes.append(outcome))
        failed = [outcome for outcome in outcomes if isinstance(outcome, Fail)]
        if failed or len(outcomes) != len(chosen):
            raise RuntimeError(f"{len(failed)} clips failed, such as {failed[:1]}")

    batch = min(len(clips), stage.resources.batch_size)
    run(clips[:batch])  # kernels are chosen, memory is taken
    each_s = seconds(lambda: run(clips[:batch])) / batch
    count = min(len(clips), max(2 * batch, int(most_s / each_s) // batch * batch))
    return count / seconds(lambda: run(clips[:count]))


def clip_rows(root: Path, most_s: float) -> Iterator[Row]:
    """CLIP ViT-L/14: pictures a second."""
    name = "CLIP ViT-L/14, 224"
    clips = shapes.clips(root, CLIPS)
    preset = shapes.clip_model(root / "clip", IS_FULL)
    stage = EmbedFrames(validated(EmbedFramesConfig, {"model": preset.model_dump(), "num_frames": 4}, "embed_frames"))
    ours = 4 * clips_per_s(stage, root, clips, most_s)
    scorer: Any = stage._scorer
    side = scorer.prepared(read_frames(Root(str(root)), clips[0], clips[0].frames[:1])[0]).shape[0]
    pixels = torch.randn(preset.batch_size, 3, side, side, device=scorer._device, dtype=scorer._dtype)
    passes = 40 if IS_FULL else 5

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(passes):
                scorer._model.encode_image(pixels)

    forward()
    plain = passes * preset.batch_size / seconds(forward)
    yield name, "plain batched forward, tensors on the device", f"{plain:.0f} pictures/s", "1", share_of_peak(plain * CLIP_FLOP)
    yield name, "ours, from JPEGs in the tar to rows", f"{ours:.0f} pictures/s", f"{ours / plain:.2f}", share_of_peak(ours * CLIP_FLOP)


def share_of_peak(flop_per_s: float) -> str:
    """Of the device's dense bf16 rate, where it is known."""
    peak = next((flops for name, flops in PEAKS.items() if IS_FULL and name in torch.cuda.get_device_name()), None)
    return f"{flop_per_s / peak:.1%}" if peak else "-"


def caption_rows(name: str, preset: ModelPreset, root: Path, most_s: float, naive: "Naive") -> Iterator[Row]:
    """Captions a second, of the loop and of the stage."""
    clips = shapes.clips(root, CAPTION_CLIPS)
    scale = "coarse" if preset.task == "caption" else "vlm"
    fields = {"coarse": None, "fine": None, "fused": None, scale: {"model": preset.model_dump(), "prompt": PROMPT}}
    stage = CaptionClips(validated(CaptionClipsConfig, fields, "caption_clips"))
    ours = clips_per_s(stage, root, clips, 0.6 * most_s)
    adapter: Any = stage._video_captioner or next(iter(stage._captioners.values()))
    inputs = naive(adapter, root, clips[0])
    flop = flop_per_clip(adapter, inputs)
    each_s = seconds(lambda: naive(adapter, root, clips[0]))
    count = max(2, min(NAIVE_CLIPS, int(0.3 * most_s / each_s)))
    loop = count / seconds(lambda: [naive(adapter, root, clip) for clip in clips[:count]])
    yield name, "naive loop, one clip at a time", f"{loop:.2f} clips/s", "1", share_of_peak(loop * flop)
    yield name, "ours, from JPEGs in the tar to rows", f"{ours:.2f} clips/s", f"{ours / loop:.1f}", share_of_peak(ours * flop)


def flop_per_clip(adapter: Any, inputs: Any) -> float:
    """Two for each weight and token that passes it: pictures' patches through the vision tower, the prompt and the answer through the
    decoder. Attention itself is left out, which makes the share of the peak smaller than it is."""
    vision = decoder = 0
    for name, weight in adapter._model.named_parameters():
        if "vis" in name:
            vision += weight.numel()
        elif "embed" not in name:
            decoder += weight.numel()
    pixels = inputs.get("pixel_values_videos", inputs.get("pixel_values"))
    patches = pixels.shape[0] if pixels.dim() == 2 else adapter._model.config.vision_config.image_size**2 // 14**2 + 1
    tokens = inputs["input_ids"].shape[1] + adapter._preset.max_new_tokens
    return 2.0 * (vision * patches + decoder * tokens)


Naive = Callable[[Any, Path, ClipRecord], Any]


def naive_blip2(adapter: Any, root: Path, clip: ClipRecord) -> Any:
    """As in the model's card: read, process, generate, decode. Returns what the model was given."""
    (image,) = read_frames(Root(str(root)), clip, clip.frames[4:5])
    inputs = adapter._processor(images=image, text=PROMPT, return_tensors="pt").to(adapter._device, adapter._dtype)
    return _generated(adapter, inputs)


def naive_qwen(adapter: Any, root: Path, clip: ClipRecord) -> Any:
    """As `naive_blip2`, of all the clip's frames."""
    frames = read_frames(Root(str(root)), clip, clip.frames)
    video = torch.stack([torch.from_numpy(frame).permute(2, 0, 1) for frame in frames])
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": PROMPT}]}
    text = adapter._processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    metadata = {"total_num_frames": 8, "fps": 2.0, "frames_indices": list(range(8)), "duration": 4.0}
    inputs = adapter._processor(text=[text], videos=[video], video_metadata=[metadata], do_sample_frames=False, return_tensors="pt")
    inputs = inputs.to(adapter._device)
    inputs["pixel_values_videos"] = inputs["pixel_values_videos"].to(adapter._dtype)
    return _generated(adapter, inputs)


def _generated(adapter: Any, inputs: Any) -> Any:
    with torch.inference_mode():
        tokens = adapter._model.generate(**inputs, max_new_tokens=adapter._preset.max_new_tokens, do_sample=False)
    adapter._processor.batch_decode(tokens, skip_special_tokens=True)
    return inputs


def rows_of(part: str, root: Path, most_s: float) -> Iterator[Row]:
    """The lines of a part of the table."""
    if part == "clip":
        yield from clip_rows(root, most_s)
    elif part == "blip2":
        yield from caption_rows("BLIP-2 OPT-2.7B", shapes.blip2(root / part, IS_FULL), root, most_s, naive_blip2)
    else:
        yield from caption_rows("Qwen2.5-VL-7B", shapes.qwen(root / part, IS_FULL), root, most_s, naive_qwen)


def _too_late(*_: object) -> None:
    raise TimeoutError("its share of the time is over")


def main() -> None:
    """Measures what is asked for (all by default) and prints one table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"what to measure: {', '.join(PARTS)}; default: all")
    parser.add_argument("--seconds", type=float, default=540.0, help="for all of it, the making of models included")
    asked = parser.parse_args()
    parts, end_s = list(asked.parts), time.monotonic() + asked.seconds
    if set(parts) - set(PARTS):
        parser.error(f"known are {', '.join(PARTS)}, not {', '.join(sorted(set(parts) - set(PARTS)))}")
    device = torch.cuda.get_device_name() if IS_FULL else "no GPU: tiny shapes on the CPU, figures mean nothing"
    print(f"{device}; torch {torch.__version__}\n")
    print("| model | what | rate | times the first | share of the device's peak |\n|---|---|--:|--:|--:|", flush=True)
    if not IS_FULL:
        torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _too_late)
    for i, part in enumerate(parts):
        own_s = (end_s - time.monotonic()) / (len(parts) - i)
        signal.alarm(max(1, int(own_s)))
        with tempfile.TemporaryDirectory() as folder:  # the next model's weights need the room
            try:
                for row in rows_of(part, Path(folder), 0.4 * own_s):
                    print(f"| {' | '.join(row)} |", flush=True)
            except Exception as error:  # noqa: BLE001 - one part's trouble must not cost the others their figures
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                print(f"| {part} | not measured: {reason} | - | - | - |", flush=True)
        signal.alarm(0)
        gc.collect()
        if IS_FULL:
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
