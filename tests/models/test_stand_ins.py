import itertools

import numpy as np
import pytest

from internvid_pipeline.config.presets import load_preset
from internvid_pipeline.models import Answer, RgbImage, build_captioner, build_scorer, build_summariser
from internvid_pipeline.models.palette import COLOURS, look_at
from tests.models.pictures import RGB, halves, noise, plain

CAPTIONER = build_captioner(load_preset("stand-in-captioner"))
SUMMARISER = build_summariser(load_preset("stand-in-summariser"))
SCORER = build_scorer(load_preset("stand-in-scorer"))


@pytest.mark.parametrize(
    ("image", "caption"),
    [
        (plain("red"), "a dim mostly red picture with smooth areas"),
        (plain("white"), "a bright mostly white picture with smooth areas"),
        (plain("black"), "a dark mostly black picture with smooth areas"),
        (halves("white", "blue"), "a bright blue and white picture with soft detail and a dark lower half"),
        (halves("black", "yellow"), "a dim yellow and black picture with soft detail and a bright lower half"),
        (np.rot90(halves("black", "green")), "a dim green and black picture with smooth areas and a dark left half"),
    ],
)
def test_caption_says_what_is_there(image: RgbImage, caption: str):
    assert CAPTIONER.captions([image]) == [Answer(caption, num_tokens=len(caption.split()))]


def test_detail_is_seen_and_size_does_not_matter():
    assert "fine detail" in CAPTIONER.captions([noise(1)])[0].text
    small, large = CAPTIONER.captions([plain("green", 16, 12), plain("green", 1600, 1203)])
    assert small == large


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (97, 200), (1000, 3)])
def test_any_shape_of_picture(shape: tuple[int, int]):
    look = look_at(np.full((*shape, 3), RGB["purple"], dtype=np.uint8))
    assert look.colours["purple"] == 1.0 and look.detail == 0 and look.half is None


def test_colour_shares_sum_to_one_over_the_whole_cube():
    steps = np.arange(0, 256, 28, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(10, -1, 3)
    shares = look_at(cube[:, :90]).colours
    assert sum(shares.values()) == pytest.approx(1.0)
    every = [look_at(np.full((2, 2, 3), colour, dtype=np.uint8)).colours for colour in cube.reshape(-1, 3)]
    assert all(sum(found.values()) == pytest.approx(1.0) for found in every)
    assert {name for found in every for name, share in found.items() if share} == set(COLOURS)


def test_right_caption_beats_wrong_one():
    pictures = [plain(colour) for colour in RGB] + [halves(upper, lower) for upper, lower in itertools.permutations(RGB, 2)]
    captions = [answer.text for answer in CAPTIONER.captions(pictures)]
    scores = SCORER.embed_images(pictures) @ SCORER.embed_texts(captions).T
    for i, row in enumerate(scores):
        others = [row[j] for j, caption in enumerate(captions) if caption != captions[i]]
        assert row[i] > max(others), (captions[i], row[i], captions[int(np.argmax(row))], max(others))
    assert np.diag(scores).min() > 0.8 and scores.min() < 0.4


def test_text_about_something_else_scores_low():
    score = SCORER.embed_images([plain("red")]) @ SCORER.embed_texts(["a man rides a bicycle", "a dim mostly red picture", ""]).T
    assert score[0, 1] > 0.9 and score[0, 0] < 0.3 and score[0, 2] < 0.3


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        (
            "a bright mostly blue picture with fine detail. a bright mostly blue picture with fine detail and a dark lower half",
            "a bright mostly blue picture, fine detail, a dark lower half",
        ),
        ("a dog runs. a cat sleeps. a dog runs.", "a dog runs, a cat sleeps"),
        ("one", "one"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_summary_keeps_each_phrase_once_in_order(text: str, merged: str):
    assert SUMMARISER.summaries([text])[0].text == merged


def test_summary_is_bounded():
    long = ". ".join(f"word{i} and more" for i in range(200))
    words = SUMMARISER.summaries([long, "w " * 500])
    assert [len(summary.text.split()) for summary in words] == [30, 30]
