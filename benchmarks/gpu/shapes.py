"""Randomly initialised models of true shapes, written to disk once per run, and clips to look at. What a model costs does not depend on
what its weights say."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models import tiny, tiny_parts, tiny_video
from internvid_pipeline.records import ClipRecord, FrameRef, MediaRef

WIDTH, HEIGHT, FRAMES = 384, 216, 8
# Qwen2.5-VL-7B: config.json of Qwen/Qwen2.5-VL-7B-Instruct.
QWEN_7B = tiny_video.VlmShape(
    hidden=3584,
    layers=28,
    heads=28,
    kv_heads=4,
    intermediate=18944,
    vision_hidden=1280,
    vision_layers=32,
    vision_heads=16,
    vision_intermediate=3420,
    most_pixels=28 * 28 * 768,
    vocabulary=152064,
)


def clips(root: Path, count: int) -> list[ClipRecord]:
    """`count` clips of 4 s, each with eight JPEGs of a natural picture's size (some 15 kB), in one tar-like file."""
    chance = np.random.default_rng(3)
    jpegs = [_jpeg(chance) for _ in range(64)]
    found, place = [], 0
    with open(root / "frames.tar", "wb") as file:
        for number in range(count):
            refs = []
            for i in range(FRAMES):
                data = jpegs[(number * 5 + i * 3) % len(jpegs)]
                media = MediaRef(uri="frames.tar", offset_bytes=place, size_bytes=len(data))
                refs.append(FrameRef(frame=12 * i + 6, time_s=0.5 * i + 0.25, width_px=WIDTH, height_px=HEIGHT, media=media))
                file.write(data)
                place += len(data)
            found.append(clip_of(f"clip{number:05d}", tuple(refs)))
    return found


def clip_of(clip_id: str, frames: tuple[FrameRef, ...]) -> ClipRecord:
    """A clip of 4 s with these frames."""
    times = {"start_s": 0.0, "end_s": 4.0, "duration_s": 4.0, "start_pts": 0, "end_pts": 96, "time_base_num": 1, "time_base_den": 24}
    numbers = {"start_frame": 0, "end_frame": 96, "num_frames": 96, "fps": 24.0, "middle_frame": 54, "width_px": WIDTH, "height_px": HEIGHT}
    rest = {"has_audio": False, "cut_mode": "copy", "motion": 1.0, "luma_mean": 100.0, "media": MediaRef(uri="clip.mp4")}
    return ClipRecord(clip_id=clip_id, video_id="v", source_uri="v.mp4", frames=frames, **times, **numbers, **rest)


def _jpeg(chance: np.random.Generator) -> bytes:
    """Smooth shapes and a little grain, which compress as a photograph does."""
    small = chance.integers(0, 256, (HEIGHT // 12, WIDTH // 12, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
    grain = chance.normal(0, 4, (HEIGHT, WIDTH, 3))
    data = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)).save(data, "JPEG", quality=90)
    return data.getvalue()


def clip_model(folder: Path, is_full: bool) -> ModelPreset:
    """CLIP ViT-L/14 at 224 pixels in open_clip's format. Raises ModuleNotFoundError without open_clip."""
    if not is_full:
        return tiny.save_tiny_open_clip(folder)
    import json

    import open_clip
    import torch
    from safetensors.torch import save_file

    shape: dict[str, Any] = open_clip.get_model_config("ViT-L-14")
    with tiny_parts.made_on(torch, "bfloat16", "cuda"):
        model = open_clip.model.CLIP(**shape)
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.4815, 0.4578, 0.4082], "std": [0.2686, 0.2613, 0.2758]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": shape, "preprocess_cfg": preprocess}))
    return ModelPreset(name="clip", task="alignment", adapter="open_clip", repository=str(folder), batch_size=256, gpus=1)


def blip2(folder: Path, is_full: bool) -> ModelPreset:
    """BLIP-2 over OPT-2.7B."""
    if not is_full:
        return tiny.save_tiny_blip2(folder)
    import torch
    import transformers

    preset = ModelPreset(name="blip2", task="caption", adapter="blip2", repository=str(folder), batch_size=64, max_new_tokens=30, gpus=1)
    tokenizer = tiny_parts.byte_tokenizer(
        ["<pad>", "</s>", "<unk>", "<image>"], pad_token="<pad>", eos_token="</s>", bos_token="</s>", unk_token="<unk>"
    )
    decoder = transformers.OPTConfig(
        vocab_size=50304,
        hidden_size=2560,
        ffn_dim=10240,
        num_hidden_layers=32,
        num_attention_heads=32,
        word_embed_proj_dim=2560,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    config = transformers.Blip2Config(
        vision_config=transformers.Blip2VisionConfig().to_dict(),
        qformer_config=transformers.Blip2QFormerConfig().to_dict(),
        text_config=decoder.to_dict(),
        num_query_tokens=32,
        image_token_index=3,
    )
    with tiny_parts.made_on(torch, "bfloat16", "cuda"):
        model = transformers.Blip2ForConditionalGeneration(config)
    model.save_pretrained(folder)
    images = transformers.BlipImageProcessor(size={"height": 224, "width": 224})
    transformers.Blip2Processor(images, tokenizer, num_query_tokens=32).save_pretrained(folder)
    return preset


def qwen(folder: Path, is_full: bool) -> ModelPreset:
    """Qwen2.5-VL-7B."""
    if not is_full:
        return tiny_video.save_vlm(folder, "qwen2_5_vl")
    return tiny_video.save_vlm(folder, "qwen2_5_vl", QWEN_7B, "bfloat16", "cuda", batch_size=32, max_new_tokens=64, gpus=1)
