"""Adapters against the library's own call on the same weights, one input at a time."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models import build_captioner, build_scorer, build_summariser
from internvid_pipeline.models.torch_setup import import_torch
from tests.models.pictures import halves, noise, plain

PICTURES = [noise(1), noise(2, 90, 50), plain("red"), noise(3, 20, 100), halves("white", "blue"), noise(4, 33, 31), plain("green", 8, 8)]
TEXTS = [
    "a man rides a bike. a man on the street. a bike",
    "a dog",
    "two people are cooking in a kitchen with a dog in the park on the street, and one man is riding a bicycle",
    "x",
    "a video in the kitchen",
]


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("prompt", [None, "a photo of"])
def test_blip2_equals_the_library_one_by_one(blip2_preset: ModelPreset, prompt: str | None):
    import_torch(blip2_preset)
    from transformers import Blip2ForConditionalGeneration, Blip2Processor

    model: Any = Blip2ForConditionalGeneration.from_pretrained(blip2_preset.repository).eval()
    processor: Any = Blip2Processor.from_pretrained(blip2_preset.repository)
    expected = []
    for picture in PICTURES:
        inputs = processor(images=Image.fromarray(picture), text=prompt or "", return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=blip2_preset.max_new_tokens, do_sample=False)[0]
        expected.append(one_line(processor.decode(tokens[inputs["input_ids"].shape[1] :], skip_special_tokens=True)))
    captioner = build_captioner(blip2_preset)
    if prompt:
        assert captioner.captions(PICTURES, prompt) == expected
        assert len(set(expected)) > 3, "a model that says the same of all pictures proves nothing"
    single = build_captioner(blip2_preset.model_copy(update={"batch_size": 1}))
    assert captioner.captions(PICTURES, prompt) == single.captions(PICTURES, prompt)


def test_blip2_without_prompt_equals_the_library(blip2_preset: ModelPreset):
    torch = import_torch(blip2_preset)
    from transformers import Blip2ForConditionalGeneration, Blip2Processor

    model: Any = Blip2ForConditionalGeneration.from_pretrained(blip2_preset.repository).eval()
    processor: Any = Blip2Processor.from_pretrained(blip2_preset.repository)
    places = [model.config.image_token_id] * model.config.num_query_tokens + [model.config.text_config.bos_token_id]
    expected = []
    for picture in PICTURES:
        pixels = processor(images=Image.fromarray(picture), return_tensors="pt")["pixel_values"]
        tokens = model.generate(
            pixel_values=pixels, input_ids=torch.tensor([places]), max_new_tokens=blip2_preset.max_new_tokens, do_sample=False
        )
        expected.append(one_line(processor.decode(tokens[0, len(places) :], skip_special_tokens=True)))
    assert build_captioner(blip2_preset).captions(PICTURES) == expected
    assert len(set(expected)) > 3, "a model that says the same of all pictures proves nothing"


@pytest.mark.parametrize("prompt", [None, "describe the video:"])
@pytest.mark.parametrize("max_input_tokens", [512, 9])
def test_seq2seq_equals_the_library_one_by_one(seq2seq_preset: ModelPreset, prompt: str | None, max_input_tokens: int):
    import_torch(seq2seq_preset)
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    model: Any = T5ForConditionalGeneration.from_pretrained(seq2seq_preset.repository).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(seq2seq_preset.repository)
    expected = []
    for text in TEXTS:
        asked = f"{prompt}\n{text}" if prompt else text
        ids = tokenizer(asked, return_tensors="pt", truncation=True, max_length=max_input_tokens)["input_ids"]
        tokens = model.generate(input_ids=ids, max_new_tokens=seq2seq_preset.max_new_tokens, do_sample=False)[0]
        expected.append(one_line(tokenizer.decode(tokens, skip_special_tokens=True)))
    summariser = build_summariser(seq2seq_preset.model_copy(update={"max_input_tokens": max_input_tokens}))
    assert summariser.summaries(TEXTS, prompt) == expected
    assert len(set(expected)) > 1, "a model that says the same of all texts proves nothing"
    assert summariser.summaries(["a dog", " ", "a dog"], prompt)[1] == ""


def test_clip_equals_the_library_one_by_one(clip_preset: ModelPreset):
    torch = import_torch(clip_preset)
    import open_clip

    source = f"local-dir:{clip_preset.repository}"
    model, _, preprocess = open_clip.create_model_and_transforms(source)
    tokenizer = open_clip.get_tokenizer(source)
    model.eval()
    with torch.no_grad():
        images = torch.cat([model.encode_image(preprocess(Image.fromarray(picture))[None], normalize=True) for picture in PICTURES]).numpy()
        texts = torch.cat([model.encode_text(tokenizer([text]), normalize=True) for text in TEXTS]).numpy()
    for batch_size in (1, 4, 100):
        scorer = build_scorer(clip_preset.model_copy(update={"batch_size": batch_size}))
        np.testing.assert_allclose(scorer.embed_images(PICTURES), images, atol=1e-4)
        np.testing.assert_allclose(scorer.embed_texts(TEXTS), texts, atol=1e-4)
    assert np.abs(images[0] - images[2]).max() > 0.01 and np.abs(texts[0] - texts[1]).max() > 0.01


def test_clip_options_reach_the_model(clip_preset: ModelPreset):
    plain_rows = build_scorer(clip_preset).embed_images(PICTURES)
    quick = build_scorer(clip_preset.model_copy(update={"quick_gelu": True})).embed_images(PICTURES)
    half = build_scorer(clip_preset.model_copy(update={"dtype": "bfloat16"})).embed_images(PICTURES)
    assert 1e-4 < np.abs(quick - plain_rows).max() < 0.5
    assert half.dtype == np.float32 and 1e-6 < np.abs(half - plain_rows).max() < 0.05
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("family", ["blip2", "seq2seq", "clip"])
@pytest.mark.parametrize("damage", ["lacks_weights", "cut_short", "no_config"])
def test_damaged_folder_is_refused_in_one_line(request: pytest.FixtureRequest, tmp_path: Path, family: str, damage: str):
    preset: ModelPreset = request.getfixturevalue(f"{family}_preset")
    import_torch(preset)
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "damaged"
    shutil.copytree(preset.repository, folder)
    weights = next(folder.glob("*.safetensors"))
    if damage == "lacks_weights":
        tensors = load_file(weights)
        del tensors[next(name for name in sorted(tensors) if name.endswith("weight") and tensors[name].dim() == 2)]
        weights.unlink()
        save_file(tensors, weights, metadata={"format": "pt"})
    elif damage == "cut_short":
        weights.write_bytes(weights.read_bytes()[:1000])
    else:
        next(file for file in folder.iterdir() if file.name in ("config.json", "open_clip_config.json")).unlink()
    build: Any = {"blip2": build_captioner, "seq2seq": build_summariser, "clip": build_scorer}[family]
    with pytest.raises(SetupError, match=rf"model '{preset.name}'") as caught:
        build(preset.model_copy(update={"repository": str(folder)}))
    assert "\n" not in str(caught.value)
