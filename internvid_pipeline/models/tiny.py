"""Tiny, randomly initialised models of the real families, written to a folder in the format that the adapters load.

They prove loading code and measure its cost where there are no weights; what they say means nothing. Made from a fixed seed and
without network; 0.3 to 1 MB each, the CLIP 7 MB (its vocabulary is the real one).
"""

import json
from pathlib import Path
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.tiny_parts import SEED, byte_tokenizer, save
from internvid_pipeline.models.torch_setup import import_torch


def save_tiny_blip2(folder: Path) -> ModelPreset:
    """A BLIP-2 of two layers a part over an OPT decoder, 32 x 32 pixels; returns the preset that loads it."""
    preset = ModelPreset(
        name="tiny-blip2", task="caption", adapter="blip2", repository=str(folder.resolve()), max_new_tokens=6, batch_size=4
    )
    torch = import_torch(preset)
    import transformers

    tokenizer = byte_tokenizer(
        ["<pad>", "</s>", "<unk>", "<image>"], pad_token="<pad>", eos_token="</s>", bos_token="</s>", unk_token="<unk>"
    )
    images = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    layers: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    words: dict[str, Any] = {"vocab_size": len(tokenizer)}
    vision = transformers.Blip2VisionConfig(**layers, intermediate_size=64, image_size=32, patch_size=8)
    qformer = transformers.Blip2QFormerConfig(**layers, **words, intermediate_size=64, encoder_hidden_size=32)
    decoder = transformers.OPTConfig(
        **layers, **words, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=1
    )
    config = transformers.Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config=qformer.to_dict(),
        text_config=decoder.to_dict(),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.Blip2Processor(images, tokenizer, num_query_tokens=4)
    save(torch, folder, lambda: transformers.Blip2ForConditionalGeneration(config), processor)
    return preset


def save_tiny_seq2seq(folder: Path) -> ModelPreset:
    """A T5 of two layers; returns the preset that loads it."""
    preset = ModelPreset(
        name="tiny-t5", task="summary", adapter="seq2seq", repository=str(folder.resolve()), max_new_tokens=6, batch_size=4
    )
    torch = import_torch(preset)
    import transformers

    tokenizer = byte_tokenizer(["<pad>", "</s>", "<unk>"], pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    config = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    save(torch, folder, lambda: transformers.T5ForConditionalGeneration(config), tokenizer)
    return preset


def save_tiny_open_clip(folder: Path) -> ModelPreset:
    """A CLIP of two layers a tower, 64 x 64 pixels, with CLIP's own tokenizer; returns the preset that loads it."""
    preset = ModelPreset(name="tiny-clip", task="alignment", adapter="open_clip", repository=str(folder.resolve()), batch_size=4)
    torch = import_torch(preset)
    import open_clip
    from safetensors.torch import save_file

    shape = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    torch.manual_seed(SEED)
    model = open_clip.model.CLIP(**json.loads(json.dumps(shape)))
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": shape, "preprocess_cfg": preprocess}), encoding="utf-8")
    return preset


def save_tiny_instruct(folder: Path) -> ModelPreset:
    """A Qwen3 decoder of two layers with a chat form; returns the preset that loads it."""
    preset = ModelPreset(
        name="tiny-instruct", task="summary", adapter="instruct", repository=str(folder.resolve()), max_new_tokens=6, batch_size=4
    )
    torch = import_torch(preset)
    import transformers

    tokenizer = byte_tokenizer(
        ["<pad>", "</s>", "<unk>", "<|user|>", "<|assistant|>"], pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|user|>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=1,
    )
    save(torch, folder, lambda: transformers.Qwen3ForCausalLM(config), tokenizer)
    return preset


def save_tiny_xclip(folder: Path) -> ModelPreset:
    """An X-CLIP of two layers a tower, 8 frames of 32 x 32 pixels; returns the preset that loads it."""
    preset = ModelPreset(name="tiny-xclip", task="video_alignment", adapter="xclip", repository=str(folder.resolve()), batch_size=24)
    torch = import_torch(preset)
    import transformers

    tokenizer = byte_tokenizer(
        ["<|startoftext|>", "<|endoftext|>"], bos_token="<|startoftext|>", eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    layers: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    mit = {"mit_hidden_size": 32, "mit_intermediate_size": 64, "mit_num_hidden_layers": 1, "mit_num_attention_heads": 2}
    ends = {"eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1}
    config = transformers.XCLIPConfig(
        text_config={**layers, "vocab_size": len(tokenizer), "max_position_embeddings": 77, **ends},
        vision_config={**layers, **mit, "image_size": 32, "patch_size": 8, "num_frames": 8},
        projection_dim=32,
    )
    size = {"shortest_edge": 32}
    images = transformers.VideoMAEImageProcessor(size=size, crop_size={"height": 32, "width": 32})
    save(torch, folder, lambda: transformers.XCLIPModel(config), transformers.XCLIPProcessor(images, tokenizer))
    return preset


def save_tiny_classifier(folder: Path) -> ModelPreset:
    """A ViT of two layers with the classes normal and nsfw, 32 x 32 pixels; returns the preset that loads it."""
    preset = ModelPreset(
        name="tiny-classifier",
        task="safety",
        adapter="image_classifier",
        repository=str(folder.resolve()),
        batch_size=4,
        unsafe_labels=("nsfw",),
    )
    torch = import_torch(preset)
    import transformers

    layers: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.ViTConfig(
        **layers, image_size=32, patch_size=8, id2label={0: "normal", 1: "nsfw"}, label2id={"normal": 0, "nsfw": 1}
    )
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    save(torch, folder, lambda: transformers.ViTForImageClassification(config), processor)
    return preset


def save_tiny_head(folder: Path, base_model: str = "tiny-clip", width: int = 32) -> ModelPreset:
    """A linear head over embeddings of `width` numbers, in the form of LAION's file; returns the preset that loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "head.pth"
    preset = ModelPreset(name="tiny-head", task="aesthetic", adapter="linear_head", repository=str(file.resolve()), base_model=base_model)
    torch = import_torch(preset)
    torch.manual_seed(SEED)
    torch.save(torch.nn.Linear(width, 1).state_dict(), file)
    return preset
