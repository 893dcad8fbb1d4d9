"""What tiny and true-shaped models with random weights are put together from."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TEXT = [
    "a man is riding a bicycle on the street",
    "a dog runs in the park",
    "two people are cooking in a kitchen",
    "describe the video in one sentence",
]
SEED = 7


def save(torch: Any, folder: Path, build: Callable[[], Any], processor: Any) -> None:
    """Writes a model of transformers with random weights, and what prepares its inputs."""
    with made_on(torch, "float32", "cpu"):
        model = build()
        spread(torch, model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@contextlib.contextmanager
def made_on(torch: Any, dtype: str, device: str) -> Iterator[None]:
    """What is built inside is built there, in that number format, from the fixed seed: a model of gigabytes straight on the GPU."""
    before = torch.get_default_dtype()
    torch.manual_seed(SEED)
    try:
        torch.set_default_dtype(getattr(torch, dtype))
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def spread(torch: Any, model: Any) -> None:
    """Larger weights: with the usual initialisation a tiny model says the same of every input, and no test could tell them apart."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, 0.4)


def byte_tokenizer(special_tokens: list[str], **names: Any) -> Any:
    """A byte-level BPE tokenizer, which covers every UTF-8 text, trained on four sentences."""
    import tokenizers
    import transformers

    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=special_tokens, show_progress=False)
    bpe.train_from_iterator(TEXT, trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, **names)
