import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.models import Answer, fault_of
from internvid_pipeline.models.answers import is_looping, is_refusal
from internvid_pipeline.records import DropReason

GOOD = [
    "A man in a red jacket rides a bicycle down a wet street while cars pass, then stops at a crossing and waits for the light to change.",
    "a dog",
    "7",
    "一只狗在公园里跑，然后停下来喝水。",
    "A sign says: I cannot swim. A child stands beside it.",
    "Ha ha ha ha, laughs a clown.",
    "A woman is sorry and hugs her son.",
    "Two people are seen from behind; no image of their faces is shown until the end, when one turns round.",
    "No cars are on the road. A cyclist passes from left to right, followed by a runner in black.",
    "An AI generated picture of a castle turns slowly.",
    "Please hold the line, says a poster in an office where people work at desks.",
    "A chef chops onions, carrots and celery. He puts them into a pan, adds oil, and stirs. The camera moves to his hands. He adds "
    "salt and pepper, tastes with a spoon, smiles, and turns to the camera to speak. The kitchen behind him is bright and tidy.",
]
REFUSALS = [
    "I'm sorry, but I can't assist with that.",
    "I’m sorry, I cannot identify people in this video.",
    "I am unable to view the video you mention.",
    "As an AI language model, I cannot watch videos.",
    "Sorry, I can't help with that request.",
    "Unfortunately, I cannot see any frames.",
    "I cannot provide a description of this content.",
    "No video was provided. Please upload one.",
    "There is no image attached to your message.",
    "You haven't provided any frames.",
    "Please provide the video you want me to describe.",
    "很抱歉，我无法描述这个视频。",
    "Es tut mir leid, das kann ich nicht.",
    "Lo siento, no puedo ayudar con eso.",
]
LOOPS = [
    "the man the man the man the man the man the man the man",
    "A dog runs. " * 6,
    "no no no no no no no no no no no no no",
    "A person walks along the street and looks at the shops. " + "The person walks to the left of the frame and then to the right. " * 4,
    "狗狗狗狗狗狗狗狗狗狗狗狗狗狗",
    "A video. " + " ".join(f"frame {i % 3} shows a man with a hat and a dog," for i in range(40)),
]


@pytest.mark.parametrize("text", GOOD)
def test_captions_pass(text: str):
    assert fault_of(Answer(text)) is None


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_named(text: str):
    assert is_refusal(text)
    assert fault_of(Answer(text)) == (DropReason.REFUSED_CAPTION, f"the model would not: {text}")


@pytest.mark.parametrize("text", LOOPS)
def test_loops_are_named(text: str):
    assert is_looping(text)
    reason, message = fault_of(Answer(text, "length", 200)) or ("", "")
    assert reason is DropReason.LOOPING_CAPTION and message.startswith("the model repeats itself: ") and len(message) < 200


@pytest.mark.parametrize("text", ["", "  ", "...", "!?", "—"])
def test_empty_texts_are_named(text: str):
    assert (fault_of(Answer(text)) or ("",))[0] is DropReason.EMPTY_CAPTION


def test_cut_off_texts_are_named():
    assert fault_of(Answer("A man rides a", "length", 4)) == (DropReason.TRUNCATED_CAPTION, "cut off after 4 tokens: A man rides a")
    assert fault_of(Answer("A man rides a bicycle.", "refusal")) == (
        DropReason.REFUSED_CAPTION,
        "the model would not: A man rides a bicycle.",
    )


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30))
def test_any_text_gets_a_judgement(words: list[str]):
    found = fault_of(Answer(" ".join(words)))
    assert found is None or (found[0] in DropReason and found[1])


@given(st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=3, max_size=10), st.integers(4, 9))
def test_whatever_phrase_is_repeated_often_is_a_loop(phrase: list[str], times: int):
    assert is_looping(" ".join(phrase * times))
