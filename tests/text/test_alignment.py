"""Each word in exactly one clip, none lost, none doubled, times inside the clip: for any utterances and any clips."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.records import SpokenWord, Utterance
from internvid_pipeline.text.alignment import ClipFinder, ClipSpan, align
from internvid_pipeline.text.words import joined, spread_words

times = st.floats(0, 100, allow_nan=False) | st.integers(0, 100).map(float)


@st.composite
def utterance(draw: st.DrawFn) -> Utterance:
    """Measured words anywhere, also out of order and without length, each with a text of its own kind; or a text spread over a span."""
    start_s, length_s = draw(times), draw(st.floats(0, 20))
    if draw(st.booleans()):
        text = draw(st.text(min_size=1, max_size=30).filter(str.strip))
        words = spread_words(text, start_s, start_s + length_s)
    else:
        spans = draw(st.lists(st.tuples(times, st.floats(0, 3)), min_size=1, max_size=8))
        words = tuple(SpokenWord(text=f" w{i}", start_s=s, end_s=s + d, probability=0.5) for i, (s, d) in enumerate(spans))
    return Utterance(
        start_s=start_s,
        end_s=start_s + length_s,
        text=joined(words),
        language="en",
        language_probability=None,
        words=words,
        has_word_times=True,
    )


spans = st.lists(st.tuples(times, st.floats(0.01, 40)), max_size=8).map(lambda found: [ClipSpan(s, s + d) for s, d in found])


@settings(max_examples=400, deadline=None)
@given(st.lists(utterance(), max_size=6), spans)
def test_no_word_is_lost_none_doubled_and_times_lie_in_the_clip(utterances: list[Utterance], clips: list[ClipSpan]):
    aligned = align(utterances, clips)
    before = Counter(word.text for one in utterances for word in one.words)
    after = Counter(word.text for said in aligned.utterances for one in said for word in one.words)
    assert after + Counter(word.text for word in aligned.outside) == before
    for clip, said in zip(clips, aligned.utterances, strict=True):
        for one in said:
            assert one.text == joined(one.words) and one.words
            assert one.start_s == min(word.start_s for word in one.words) and one.end_s == max(word.end_s for word in one.words)
            for word in one.words:
                assert 0 <= word.start_s <= word.end_s <= round(clip.end_s - clip.start_s, 6) + 1e-6
    finder = ClipFinder(clips)
    for word in (word for one in utterances for word in one.words):
        held = [min(clip.end_s, word.end_s) - max(clip.start_s, word.start_s) for clip in clips]
        found = finder.clip_of(word.start_s, word.end_s)
        if word.end_s > word.start_s:  # the one that holds most of it, and outside only where none holds any
            assert (found is None) == (max(held, default=0.0) <= 0)
            assert found is None or held[found] == max(held)
        else:
            assert (found is None) == (not any(clip.start_s <= word.start_s < clip.end_s for clip in clips))


def said(text: str, start_s: float, end_s: float) -> Utterance:
    words = spread_words(text, start_s, end_s)
    return Utterance(start_s=start_s, end_s=end_s, text=text, language="en", language_probability=None, words=words, has_word_times=False)


def test_an_utterance_is_cut_at_the_border():
    """Four words of one second each; the clips meet at 2.4 s, in the third word, most of which lies in the second clip."""
    aligned = align([said("aa bb cc dd", 0.0, 4.0)], [ClipSpan(0.0, 2.4), ClipSpan(2.4, 10.0)])
    assert [[(one.text, one.start_s, one.end_s) for one in found] for found in aligned.utterances] == [
        [("aa bb", 0.0, 2.0)],
        [("cc dd", 0.0, 1.6)],
    ]


def test_words_between_the_clips_are_told_and_words_that_touch_one_are_not():
    aligned = align([said("aa bb cc", 0.0, 3.0)], [ClipSpan(0.0, 1.0), ClipSpan(2.9, 5.0)])
    assert [word.text for word in aligned.outside] == [" bb"]
    assert aligned.utterances[1][0].words[0].start_s == 0.0


def test_characters_without_spaces_and_right_to_left_are_cut_at_words():
    clips = [ClipSpan(0.0, 2.0), ClipSpan(2.0, 4.0)]
    assert [found[0].text for found in align([said("今天天气", 0.0, 4.0)], clips).utterances] == ["今天", "天气"]
    assert [found[0].text for found in align([said("مرحبا 👋🏽 אבגד שלום", 0.0, 4.0)], clips).utterances] == ["مرحبا 👋🏽", "אבגד שלום"]
