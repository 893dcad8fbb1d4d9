"""Signs of text that a recogniser made up."""

import pytest

from internvid_pipeline.text.guards import compression_ratio, learnt_by_heart, repeated_share
from internvid_pipeline.text.words import split_words


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("thank you " * 10, 1.0),
        ("Thank you. thank you, Thank you! thank YOU.", 1.0),
        ("谢谢谢谢谢谢谢谢", 1.0),
        ("and so it goes on and on", 0.0),
        ("no no no", 0.0),  # three times is emphasis
        ("well " * 5 + "that is another matter altogether I think", 5 / 12),
        ("", 0.0),
    ],
)
def test_repeated_share(text: str, share: float):
    assert repeated_share(list(split_words(text))) == pytest.approx(share, abs=0.01)


def test_compression_ratio_is_whispers():
    assert compression_ratio("") == 0
    assert compression_ratio("The quick brown fox jumps over the lazy dog.") < 1.1
    assert compression_ratio("Thanks for watching! " * 20) > 2.4


CREDITS = [
    *("Subtitles by the Amara.org community", "Untertitel der Amara.org-Community", "Sous-titrage Société Radio-Canada"),
    *("字幕由Amara.org社群提供", "Субтитры сделал DimaTorzok", "Редактор субтитров А.Семкин", "ترجمة نانسي قنقر", "Altyazı M.K."),
    *("Subtítulos por la comunidad de Amara.org", "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", "Untertitelung des ZDF, 2020"),
    *("Legendas pela comunidade Amara.org", "자막 제공 배달의민족"),
]
FAREWELLS = ["Thanks for watching!", "Thank you very much for watching.", "you", "ご視聴ありがとうございました。", "Спасибо за просмотр!"]
SAID = ["I turned the subtitles on", "Do you subscribe?", "thank you", "字幕很清楚", "Субтитры мне не нужны", "", "x" * 500]


@pytest.mark.parametrize("text", CREDITS)
def test_credits_of_subtitlers_are_said_by_nobody(text: str):
    assert learnt_by_heart(text, False) and learnt_by_heart(f" {text}. ", True)


@pytest.mark.parametrize("text", FAREWELLS)
def test_farewells_are_made_up_where_the_recogniser_doubts(text: str):
    assert learnt_by_heart(text, True) and not learnt_by_heart(text, False)


@pytest.mark.parametrize("text", SAID)
def test_what_people_say_is_not(text: str):
    assert not learnt_by_heart(text, True)
