"""Randomly initialised Whispers, as `tiny`: by default of two layers a part, in benchmarks of the true shapes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.tiny_parts import SEED, TEXT, spread
from internvid_pipeline.models.torch_setup import import_torch


@dataclass(frozen=True)
class WhisperShape:
    """Sizes as in config.json. words: made-up words that fill the vocabulary up. is_spread: weights so large that a tiny model tells its
    inputs apart; a large one with its usual weights does."""

    d_model: int = 32
    heads: int = 2
    ffn_dim: int = 64
    encoder_layers: int = 2
    decoder_layers: int = 2
    num_mel_bins: int = 80
    words: int = 0
    is_spread: bool = True


TINY = WhisperShape()


def save_tiny_whisper(folder: Path, shape: WhisperShape = TINY) -> ModelPreset:
    """A multilingual Whisper in transformers' form; returns the preset that loads it."""
    preset = ModelPreset(
        name="tiny-whisper", task="speech", adapter="whisper", repository=str(folder.resolve()), max_new_tokens=12, batch_size=4
    )
    torch = import_torch(preset)
    import transformers

    tokenizer, languages = _tokenizer(folder, shape.words)
    number = tokenizer.token_to_id
    end = number("<|endoftext|>")
    ends = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": number("<|startoftranscript|>")}
    config = _config(transformers, shape, tokenizer.get_vocab_size(), ends)
    torch.manual_seed(SEED)
    model = transformers.WhisperForConditionalGeneration(config)
    with torch.no_grad():  # words, and neither times nor the end, are what this model likes to say
        if shape.is_spread:
            spread(torch, model)
        model.model.decoder.embed_tokens.weight[number("<|0.00|>") :] *= 0.01
        model.model.decoder.embed_tokens.weight[end] *= 0.01
    settings = transformers.GenerationConfig(**ends, suppress_tokens=[], begin_suppress_tokens=[end], max_length=448)
    settings.lang_to_id = {f"<|{code}|>": number(f"<|{code}|>") for code in languages}
    settings.task_to_id = {task: number(f"<|{task}|>") for task in ("transcribe", "translate")}
    settings.no_timestamps_token_id = number("<|notimestamps|>")
    settings.is_multilingual, settings.alignment_heads = True, [[0, 0], [1, 0]]
    model.generation_config = settings
    model.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=shape.num_mel_bins).save_pretrained(folder)
    return preset


def save_tiny_faster_whisper(folder: Path, shape: WhisperShape = TINY, dtype: str = "float32") -> ModelPreset:
    """The same weights, converted for faster-whisper; returns the preset that loads them."""
    source = folder.with_name(f"{folder.name}-source")
    tiny = save_tiny_whisper(source, shape)
    from ctranslate2.converters import TransformersConverter

    converter = TransformersConverter(str(source), copy_files=["tokenizer.json", "preprocessor_config.json"])
    converter.convert(str(folder), quantization=None if dtype == "float32" else dtype, force=True)
    fields = {"name": "tiny-faster-whisper", "adapter": "faster-whisper", "repository": str(folder.resolve()), "dtype": dtype}
    return tiny.model_copy(update=fields)


def _config(transformers: Any, shape: WhisperShape, vocab_size: int, ends: dict[str, int]) -> Any:
    heads = {"encoder_attention_heads": shape.heads, "decoder_attention_heads": shape.heads}
    layers = {"encoder_layers": shape.encoder_layers, "decoder_layers": shape.decoder_layers}
    widths = {"d_model": shape.d_model, "encoder_ffn_dim": shape.ffn_dim, "decoder_ffn_dim": shape.ffn_dim}
    rest = {"vocab_size": vocab_size, "num_mel_bins": shape.num_mel_bins}
    suppressed = {"suppress_tokens": [], "begin_suppress_tokens": [ends["eos_token_id"]]}
    return transformers.WhisperConfig(**heads, **layers, **widths, **rest, **ends, **suppressed)


def _tokenizer(folder: Path, words: int) -> tuple[Any, Sequence[str]]:
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
    vocabulary = plain["model"]["vocab"]
    for text in ("", *(f"\u0120word{i}" for i in range(words))):  # \u0120: a space, in this alphabet of bytes
        vocabulary[text] = len(vocabulary)
    bpe = tokenizers.Tokenizer.from_str(json.dumps(plain))
    marks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    special = [f"<|{name}|>" for name in ("endoftext", "startoftranscript", *LANGUAGES, *marks)]
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    bpe.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False) for name in special])
    bpe.add_tokens([tokenizers.AddedToken(name, special=False, normalized=False) for name in times])
    folder.mkdir(parents=True, exist_ok=True)
    merges = [tuple(pair) for pair in plain["model"]["merges"]]
    own = transformers.WhisperTokenizer(vocab=vocabulary, merges=merges, additional_special_tokens=special[1:])
    own.add_tokens(times)
    own.save_pretrained(folder)
    bpe.save(str(folder / "tokenizer.json"))
    return bpe, list(LANGUAGES)
