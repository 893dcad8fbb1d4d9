"""Randomly initialised video language models of the families that `transformers_video` runs, as `tiny` makes the others.

`VlmShape` gives the sizes: tiny ones for tests, those of a real model for measuring what it costs, which does not depend on what its
weights say.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.tiny_parts import byte_tokenizer, made_on, spread
from internvid_pipeline.models.torch_setup import import_torch

VlmFamily = Literal["qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm"]
VLM_FAMILIES: tuple[VlmFamily, ...] = ("qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm")
_QWEN = [
    f"<|{name}|>" for name in ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad")
]
_INTERNVL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
_SMOLVLM = ["<|endoftext|>", "<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>", "<global-img>", "<video>"]
_TURN = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
_END = "{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_VIDEO = "{% if part['type'] == 'video' %}"
_QWEN_CHAT = f"{_TURN}{_VIDEO}<|vision_start|><|video_pad|><|vision_end|>{{% else %}}{_END}"
_INTERNVL_CHAT = f"{_TURN}{_VIDEO}<video>\n{{% else %}}{_END}"


@dataclass(frozen=True)
class VlmShape:
    """Sizes of the two towers. vocabulary: words of the tokenizer where None."""

    hidden: int = 32
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    intermediate: int = 64
    vision_hidden: int = 32
    vision_layers: int = 2
    vision_heads: int = 2
    vision_intermediate: int = 64
    most_pixels: int = 28 * 28 * 16
    vocabulary: int | None = None


TINY = VlmShape()


def save_vlm(
    folder: Path, family: VlmFamily, shape: VlmShape = TINY, dtype: str = "float32", device: str = "cpu", **fields: Any
) -> ModelPreset:
    """Writes a model of a family with random weights and its processor; returns the preset that loads it, with `fields` of it replaced."""
    written: dict[str, Any] = {
        "name": f"random-{family.replace('_', '-')}",
        "task": "video_caption",
        "adapter": "transformers",
        "repository": str(folder.resolve()),
        "max_new_tokens": 8,
        "batch_size": 4,
        "prompt": "describe the video",
    }
    preset = ModelPreset(**{**written, **fields})
    torch = import_torch(preset)
    build = {"qwen2_5_vl": _qwen2_5, "qwen3_vl": _qwen3, "internvl": _internvl, "smolvlm": _smolvlm}[family]
    with made_on(torch, dtype, device):
        model, processor = build(shape)
        if shape is TINY:
            spread(torch, model)
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return preset


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {"image_token_id": 6, "video_token_id": 7, "vision_start_token_id": 3, "vision_end_token_id": 4}
    return {name: tokenizer.convert_tokens_to_ids(_QWEN[number]) for name, number in names.items()}


def _qwen_tokenizer() -> Any:
    return byte_tokenizer(_QWEN, eos_token="<|im_end|>", pad_token="<|endoftext|>", additional_special_tokens=_QWEN[1:])


def _qwen2_5(shape: VlmShape) -> tuple[Any, Any]:
    import transformers

    tokenizer = _qwen_tokenizer()
    pixels = {"min_pixels": 28 * 28, "max_pixels": shape.most_pixels}
    head = shape.hidden // shape.heads
    sections = [head // 2 - 2 * (head * 3 // 16), head * 3 // 16, head * 3 // 16]
    config = transformers.Qwen2_5_VLConfig(
        vision_config={
            **_qwen_vision(shape),
            "patch_size": 14,
            "window_size": 112 if shape is not TINY else 56,
            "fullatt_block_indexes": [shape.vision_layers - 1] if shape is TINY else [7, 15, 23, 31],
        },
        text_config={
            **_decoder(shape, tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections},
        },
        **_qwen_ids(tokenizer),
    )
    processor = transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(**pixels),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(**pixels),
        chat_template=_QWEN_CHAT,
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen3(shape: VlmShape) -> tuple[Any, Any]:
    import transformers

    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen3VLConfig(
        vision_config={
            **_qwen_vision(shape),
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        text_config={
            **_decoder(shape, tokenizer),
            "head_dim": 8,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1], "mrope_interleaved": True},
        },
        **_qwen_ids(tokenizer),
    )
    size = {"shortest_edge": 32 * 32, "longest_edge": shape.most_pixels}
    processor = transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(patch_size=16, size=size),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen3VLVideoProcessor(size=size),
        chat_template=_QWEN_CHAT.replace("<|vision_start|><|video_pad|><|vision_end|>", "<|video_pad|>"),
    )
    return transformers.Qwen3VLForConditionalGeneration(config), processor


def _internvl(shape: VlmShape) -> tuple[Any, Any]:
    import transformers

    tokenizer = byte_tokenizer(
        _INTERNVL,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    )
    config = transformers.InternVLConfig(
        vision_config={
            **_vision(shape),
            "image_size": [32, 32],
            "patch_size": [8, 8],
        },
        text_config={"model_type": "qwen2", **_decoder(shape, tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    size = {"height": 32, "width": 32}
    processor = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tokenizer=tokenizer,
        video_processor=transformers.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=_INTERNVL_CHAT,
    )
    return transformers.InternVLForConditionalGeneration(config), processor


def _smolvlm(shape: VlmShape) -> tuple[Any, Any]:
    import transformers

    tokenizer = byte_tokenizer(_SMOLVLM, eos_token="<end_of_utterance>", pad_token="<|endoftext|>", additional_special_tokens=_SMOLVLM[3:])
    for name, number in {"image_token": 3, "fake_image_token": 4, "global_image_token": 5, "end_of_utterance_token": 2}.items():
        setattr(tokenizer, name, _SMOLVLM[number])
    config = transformers.SmolVLMConfig(
        vision_config={
            **_vision(shape),
            "image_size": 64,
            "patch_size": 16,
        },
        text_config={"model_type": "llama", **_decoder(shape, tokenizer)},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    edge = {"longest_edge": 64}
    processor = transformers.SmolVLMProcessor(
        transformers.SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        tokenizer,
        transformers.SmolVLMVideoProcessor(
            size=edge, max_image_size=edge, video_sampling={"fps": 1, "max_frames": 8, "video_size": edge}, num_frames=8, fps=1
        ),
        image_seq_len=4,
    )
    return transformers.SmolVLMForConditionalGeneration(config), processor


def _qwen_vision(shape: VlmShape) -> dict[str, int]:
    return {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_hidden,
        "num_heads": shape.vision_heads,
        "intermediate_size": shape.vision_intermediate,
        "out_hidden_size": shape.hidden,
    }


def _vision(shape: VlmShape) -> dict[str, int]:
    return {
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_intermediate,
        "num_hidden_layers": shape.vision_layers,
        "num_attention_heads": shape.vision_heads,
    }


def _decoder(shape: VlmShape, tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": shape.vocabulary or len(tokenizer),
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 8192,
    }
