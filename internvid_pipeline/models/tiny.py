"""Tiny, randomly initialised models of the real families, written to a folder in the format that the adapters load.

They prove loading code and measure its cost where there are no weights; what they say means nothing. Made from a fixed seed and
without network; 0.3 to 1 MB each, the CLIP 7 MB (its vocabulary is the real one).
"""

import json
from pathlib import Path
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.tiny_parts import SEED, TEXT, byte_tokenizer, save, spread
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


def save_tiny_whisper(folder: Path) -> ModelPreset:
    """A multilingual Whisper of two layers a part, in transformers' form; returns the preset that loads it."""
    preset = ModelPreset(
        name="tiny-whisper", task="speech", adapter="whisper", repository=str(folder.resolve()), max_new_tokens=12, batch_size=4
    )
    torch = import_torch(preset)
    import transformers

    tokenizer, languages = _whisper_tokenizer(folder)
    number = tokenizer.token_to_id
    end, begin = number("<|endoftext|>"), number("<|startoftranscript|>")
    shape: dict[str, Any] = {f"{part}_{size}": 2 for part in ("encoder", "decoder") for size in ("layers", "attention_heads")}
    widths = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_mel_bins": 80}
    ends = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": begin}
    config = transformers.WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(), **shape, **widths, **ends, suppress_tokens=[], begin_suppress_tokens=[end]
    )
    torch.manual_seed(SEED)
    model = transformers.WhisperForConditionalGeneration(config)
    spread(torch, model)
    with torch.no_grad():  # words, and neither times nor the end, are what this model likes to say
        model.model.decoder.embed_tokens.weight[number("<|0.00|>") :] *= 0.01
        model.model.decoder.embed_tokens.weight[end] *= 0.01
    settings = transformers.GenerationConfig(**ends, suppress_tokens=[], begin_suppress_tokens=[end], max_length=448)
    settings.lang_to_id = {f"<|{code}|>": number(f"<|{code}|>") for code in languages}
    settings.task_to_id = {task: number(f"<|{task}|>") for task in ("transcribe", "translate")}
    settings.no_timestamps_token_id = number("<|notimestamps|>")
    settings.is_multilingual, settings.alignment_heads = True, [[0, 0], [1, 0]]
    model.generation_config = settings
    model.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return preset


def save_tiny_faster_whisper(folder: Path) -> ModelPreset:
    """The same weights, converted for faster-whisper; returns the preset that loads them."""
    source = folder.with_name(f"{folder.name}-source")
    tiny = save_tiny_whisper(source)
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source), copy_files=["tokenizer.json", "preprocessor_config.json"]).convert(str(folder), force=True)
    fields = {"name": "tiny-faster-whisper", "adapter": "faster-whisper", "repository": str(folder.resolve()), "dtype": "float32"}
    return tiny.model_copy(update=fields)


def _whisper_tokenizer(folder: Path) -> tuple[Any, list[str]]:
    """Whisper's layout: text, end, begin, languages, tasks, marks, time stamps. Multilingual models are told by the empty word in their
    vocabulary (CTranslate2)."""
    import tokenizers
    import transformers
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator(TEXT, trainer)
    plain = json.loads(bpe.to_str())
    plain["model"]["vocab"][""] = len(plain["model"]["vocab"])
    bpe = tokenizers.Tokenizer.from_str(json.dumps(plain))
    marks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    special = [f"<|{name}|>" for name in ("endoftext", "startoftranscript", *LANGUAGES, *marks)]
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    bpe.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False) for name in special])
    bpe.add_tokens([tokenizers.AddedToken(name, special=False, normalized=False) for name in times])
    folder.mkdir(parents=True, exist_ok=True)
    merges = [tuple(pair) for pair in plain["model"]["merges"]]
    own = transformers.WhisperTokenizer(vocab=plain["model"]["vocab"], merges=merges, additional_special_tokens=special[1:])
    own.add_tokens(times)
    own.save_pretrained(folder)
    bpe.save(str(folder / "tokenizer.json"))
    return bpe, list(LANGUAGES)


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
