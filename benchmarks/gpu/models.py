"""What a GPU does with us, beside what it can do: embeddings and captions from JPEG frames in a tar to rows, against a plain batched
forward of the same model on tensors that are on the GPU already, and against the loop that one writes first (one clip at a time).

    python benchmarks/gpu/models.py [clip blip2 qwen]

Needs torch, transformers and (for CLIP) open_clip; no Ray, no network, no weights: models of the true shapes are made at random. The stages
run in this process as a worker runs them: frames are read ahead in threads, batches go over clips. Without a GPU it runs tiny shapes on the
CPU and says so; such figures tell that the script works, and nothing else.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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


def through(stage: Stage[Any, Any, Any], root: Path, clips: Sequence[ClipRecord]) -> Callable[[], None]:
    """A run of a stage over clips as a worker does it; the model is loaded and warm. Raises RuntimeError where a clip fails."""
    worker = StageWorker(stage, WorkerContext(root=Root(str(root)), scratch=root / "scratch", resources=stage.resources))

    def run(chosen: Sequence[ClipRecord] = clips) -> None:
        outcomes: list[Any] = []
        worker.run([(i, Item(clip)) for i, clip in enumerate(chosen)], lambda index: None, lambda index, outcome: outcomes.append(outcome))
        failed = [outcome for outcome in outcomes if isinstance(outcome, Fail)]
        if failed or len(outcomes) != len(chosen):
            raise RuntimeError(f"{len(failed)} clips failed, such as {failed[:1]}")

    run(clips[: min(len(clips), 2 * stage.resources.batch_size)])
    return run


def clip_rows(root: Path, clips: Sequence[ClipRecord]) -> list[Row]:
    """CLIP ViT-L/14: pictures a second."""
    preset = shapes.clip_model(root / "clip", IS_FULL)
    stage = EmbedFrames(validated(EmbedFramesConfig, {"model": preset.model_dump(), "num_frames": 4}, "embed_frames"))
    ours = 4 * len(clips) / seconds(through(stage, root, clips))
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
    return [
        ("CLIP ViT-L/14, 224", "plain batched forward, tensors on the device", f"{plain:.0f} pictures/s", "1", share_of_peak(plain)),
        ("CLIP ViT-L/14, 224", "ours, from JPEGs in the tar to rows", f"{ours:.0f} pictures/s", f"{ours / plain:.2f}", share_of_peak(ours)),
    ]


def share_of_peak(pictures_per_s: float) -> str:
    """Of the device's dense bf16 rate, where it is known."""
    peak = next((flops for name, flops in PEAKS.items() if IS_FULL and name in torch.cuda.get_device_name()), None)
    return f"{pictures_per_s * CLIP_FLOP / peak:.1%}" if peak else "-"


def caption_rows(
    name: str, preset: ModelPreset, root: Path, clips: Sequence[ClipRecord], naive: Callable[[Any, ClipRecord], None]
) -> list[Row]:
    """Captions a second, of the loop and of the stage."""
    scale = "coarse" if preset.task == "caption" else "vlm"
    fields = {"coarse": None, "fine": None, "fused": None, scale: {"model": preset.model_dump(), "prompt": PROMPT}}
    stage = CaptionClips(validated(CaptionClipsConfig, fields, "caption_clips"))
    ours = len(clips) / seconds(through(stage, root, clips))
    adapter: Any = stage._video_captioner or next(iter(stage._captioners.values()))
    naive(adapter, clips[0])
    loop = NAIVE_CLIPS / seconds(lambda: [naive(adapter, clip) for clip in clips[:NAIVE_CLIPS]])
    return [
        (name, "naive loop, one clip at a time", f"{loop:.2f} clips/s", "1", "-"),
        (name, "ours, from JPEGs in the tar to rows", f"{ours:.2f} clips/s", f"{ours / loop:.1f}", "-"),
    ]


def naive_blip2(root: Path) -> Callable[[Any, ClipRecord], None]:
    """As in the model's card: read, process, generate, decode."""

    def one(adapter: Any, clip: ClipRecord) -> None:
        (image,) = read_frames(Root(str(root)), clip, clip.frames[4:5])
        inputs = adapter._processor(images=image, text=PROMPT, return_tensors="pt").to(adapter._device, adapter._dtype)
        with torch.inference_mode():
            tokens = adapter._model.generate(**inputs, max_new_tokens=adapter._preset.max_new_tokens, do_sample=False)
        adapter._processor.batch_decode(tokens, skip_special_tokens=True)

    return one


def naive_qwen(root: Path) -> Callable[[Any, ClipRecord], None]:
    """As in the model's card: read, process, generate, decode."""

    def one(adapter: Any, clip: ClipRecord) -> None:
        frames = read_frames(Root(str(root)), clip, clip.frames)
        video = torch.stack([torch.from_numpy(frame).permute(2, 0, 1) for frame in frames])
        message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": PROMPT}]}
        text = adapter._processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
        metadata = {"total_num_frames": 8, "fps": 2.0, "frames_indices": list(range(8)), "duration": 4.0}
        inputs = adapter._processor(text=[text], videos=[video], video_metadata=[metadata], do_sample_frames=False, return_tensors="pt")
        inputs = inputs.to(adapter._device)
        inputs["pixel_values_videos"] = inputs["pixel_values_videos"].to(adapter._dtype)
        with torch.inference_mode():
            tokens = adapter._model.generate(**inputs, max_new_tokens=adapter._preset.max_new_tokens, do_sample=False)
        adapter._processor.batch_decode(tokens, skip_special_tokens=True)

    return one


def main() -> None:
    """Measures what is asked for (all by default) and prints one table."""
    asked = sys.argv[1:] or ["clip", "blip2", "qwen"]
    print(
        f"{torch.cuda.get_device_name() if IS_FULL else 'no GPU: tiny shapes on the CPU, figures mean nothing'}; torch {torch.__version__}"
    )
    if not IS_FULL:
        torch.set_num_threads(1)
    rows: list[Row] = []
    for name in asked:
        with tempfile.TemporaryDirectory() as folder:  # the next model's weights need the room
            root = Path(folder)
            clips = shapes.clips(root, CLIPS if name == "clip" else CAPTION_CLIPS)
            try:
                if name == "clip":
                    rows += clip_rows(root, clips)
                elif name == "blip2":
                    rows += caption_rows("BLIP-2 OPT-2.7B", shapes.blip2(root / name, IS_FULL), root, clips, naive_blip2(root))
                else:
                    rows += caption_rows("Qwen2.5-VL-7B", shapes.qwen(root / name, IS_FULL), root, clips, naive_qwen(root))
            except ModuleNotFoundError as error:
                rows.append((name, f"not measured: package {error.name} is not installed", "-", "-", "-"))
        if IS_FULL:
            torch.cuda.empty_cache()
    print("| model | what | rate | times the first | share of the device's peak |\n|---|---|--:|--:|--:|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
