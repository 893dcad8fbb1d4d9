"""Adapters against the library's own call on the same weights, one input at a time."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models import (
    Answer,
    build_captioner,
    build_classifier,
    build_rater,
    build_scorer,
    build_summariser,
    build_video_scorer,
    tiny,
)
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


def texts(answers: list[Answer]) -> list[str]:
    return [answer.text for answer in answers]


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
        assert texts(captioner.captions(PICTURES, prompt)) == expected
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
    assert texts(build_captioner(blip2_preset).captions(PICTURES)) == expected
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
    assert texts(summariser.summaries(TEXTS, prompt)) == expected
    assert len(set(expected)) > 1, "a model that says the same of all texts proves nothing"
    assert summariser.summaries(["a dog", " ", "a dog"], prompt)[1] == Answer("")


def test_clip_equals_the_library_one_by_one(clip_preset: ModelPreset):
    torch = import_torch(clip_preset)
    import open_clip

    source = f"local-dir:{clip_preset.repository}"
    model, _, preprocess = open_clip.create_model_and_transforms(source)
    tokenizer = open_clip.get_tokenizer(source)
    model.eval()
    with torch.no_grad():
        images = torch.cat([model.encode_image(preprocess(Image.fromarray(picture))[None], normalize=True) for picture in PICTURES]).numpy()
        words = torch.cat([model.encode_text(tokenizer([text]), normalize=True) for text in TEXTS]).numpy()
    for batch_size in (1, 4, 100):
        scorer = build_scorer(clip_preset.model_copy(update={"batch_size": batch_size}))
        np.testing.assert_allclose(scorer.embed_images(PICTURES), images, atol=1e-4)
        np.testing.assert_allclose(scorer.embed_texts(TEXTS), words, atol=1e-4)
    assert np.abs(images[0] - images[2]).max() > 0.01 and np.abs(words[0] - words[1]).max() > 0.01


def test_clip_options_reach_the_model(clip_preset: ModelPreset):
    plain_rows = build_scorer(clip_preset).embed_images(PICTURES)
    quick = build_scorer(clip_preset.model_copy(update={"quick_gelu": True})).embed_images(PICTURES)
    half = build_scorer(clip_preset.model_copy(update={"dtype": "bfloat16"})).embed_images(PICTURES)
    assert 1e-4 < np.abs(quick - plain_rows).max() < 0.5
    assert half.dtype == np.float32 and 1e-6 < np.abs(half - plain_rows).max() < 0.05
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("prompt", [None, "describe the video:"])
@pytest.mark.parametrize("max_input_tokens", [512, 9])
def test_instruct_equals_the_library_one_by_one(instruct_preset: ModelPreset, prompt: str | None, max_input_tokens: int):
    import_torch(instruct_preset)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(instruct_preset.repository).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(instruct_preset.repository)
    expected = []
    for text in TEXTS:
        cut = tokenizer.decode(tokenizer(text)["input_ids"][:max_input_tokens])
        message = {"role": "user", "content": f"{prompt}\n{cut}" if prompt else cut}
        inputs = tokenizer.apply_chat_template([message], add_generation_prompt=True, return_tensors="pt", return_dict=True)
        tokens = model.generate(**inputs, max_new_tokens=instruct_preset.max_new_tokens, do_sample=False)[0]
        expected.append(one_line(tokenizer.decode(tokens[inputs["input_ids"].shape[1] :], skip_special_tokens=True)))
    summariser = build_summariser(instruct_preset.model_copy(update={"max_input_tokens": max_input_tokens}))
    assert texts(summariser.summaries(TEXTS, prompt)) == expected
    assert len(set(expected)) > 2, "a model that says the same of all texts proves nothing"
    assert summariser.summaries(["a dog", " ", "a dog"], prompt)[1] == Answer("")


def test_xclip_equals_the_library_one_by_one(xclip_preset: ModelPreset):
    torch = import_torch(xclip_preset)
    from transformers import XCLIPModel, XCLIPProcessor

    model: Any = XCLIPModel.from_pretrained(xclip_preset.repository).eval()
    processor: Any = XCLIPProcessor.from_pretrained(xclip_preset.repository)
    videos = [[noise(10 * i + j, 40 + 8 * i, 48) for j in range(8)] for i in range(5)]
    expected = []
    for video, text in zip(videos, TEXTS, strict=True):
        inputs = processor(text=[text], videos=[Image.fromarray(frame) for frame in video], return_tensors="pt", padding=True)
        with torch.no_grad():
            expected.append(float(model(**inputs).logits_per_video[0, 0] / model.logit_scale.exp()))
    for batch_size in (8, 24, 1000):
        scorer = build_video_scorer(xclip_preset.model_copy(update={"batch_size": batch_size}))
        np.testing.assert_allclose(scorer.scores(videos, TEXTS), expected, atol=1e-4)
    assert scorer.num_frames == 8 and np.ptp(expected) > 0.01
    short = scorer.scores([videos[0][:3]], TEXTS[:1])
    np.testing.assert_allclose(short, scorer.scores([videos[0][:3] + [videos[0][2]] * 5], TEXTS[:1]), atol=1e-6)


def test_classifier_equals_the_library_one_by_one(classifier_preset: ModelPreset):
    torch = import_torch(classifier_preset)
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model: Any = AutoModelForImageClassification.from_pretrained(classifier_preset.repository).eval()
    processor: Any = AutoImageProcessor.from_pretrained(classifier_preset.repository)
    with torch.no_grad():
        expected = [
            float(model(**processor(images=Image.fromarray(picture), return_tensors="pt")).logits.softmax(-1)[0, 1]) for picture in PICTURES
        ]
    for batch_size in (1, 4, 100):
        classifier = build_classifier(classifier_preset.model_copy(update={"batch_size": batch_size}))
        np.testing.assert_allclose(classifier.probabilities(PICTURES), expected, atol=1e-4)
    assert np.ptp(expected) > 0.01
    for labels in ((), ("gore",)):
        with pytest.raises(SetupError, match=r"unsafe_labels must be some of \['normal', 'nsfw'\]"):
            build_classifier(classifier_preset.model_copy(update={"unsafe_labels": labels}))


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_aesthetic_head_equals_a_linear_layer_of_torch(tmp_path: Path, clip_preset: ModelPreset, form: str):
    preset = tiny.save_tiny_head(tmp_path)
    torch = import_torch(preset)
    state = torch.load(preset.repository, weights_only=True)
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file({f"predictor.{name}": tensor for name, tensor in state.items()}, tmp_path / "head.safetensors")
        preset = preset.model_copy(update={"repository": str(tmp_path / "head.safetensors")})
    layer = torch.nn.Linear(32, 1)
    layer.load_state_dict(state)
    embeddings = build_scorer(clip_preset).embed_images(PICTURES)
    with torch.no_grad():
        expected = layer(torch.from_numpy(embeddings))[:, 0].numpy()
    np.testing.assert_allclose(build_rater(preset).ratings(embeddings), expected, atol=1e-4)


def test_file_that_is_no_head_is_refused_in_one_line(tmp_path: Path):
    preset = tiny.save_tiny_head(tmp_path)
    torch = import_torch(preset)
    torch.save({"weight": torch.zeros(2, 32), "bias": torch.zeros(2)}, preset.repository)
    with pytest.raises(SetupError, match=r"a linear head has one weight of shape \(1, d\)"):
        build_rater(preset)
    torch.save(torch.nn.Linear(32, 1), preset.repository)  # a whole module: unpickling it would run its code
    with pytest.raises(SetupError, match="model 'tiny-head' cannot be loaded"):
        build_rater(preset)
    with pytest.raises(SetupError, match=r"wanted one file of weights at .*gone\.pth, found 0"):
        build_rater(preset.model_copy(update={"repository": str(tmp_path / "gone.pth")}))


@pytest.mark.parametrize("family", ["blip2", "seq2seq", "clip", "xclip", "classifier", "instruct"])
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
    build: Any = {"blip2": build_captioner, "seq2seq": build_summariser, "clip": build_scorer, "instruct": build_summariser}.get(family)
    build = build or {"xclip": build_video_scorer, "classifier": build_classifier}[family]
    with pytest.raises(SetupError, match=rf"model '{preset.name}'") as caught:
        build(preset.model_copy(update={"repository": str(folder)}))
    assert "\n" not in str(caught.value)
