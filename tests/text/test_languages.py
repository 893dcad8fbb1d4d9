"""Codes of languages as sites, containers and models write them."""

import pytest

from internvid_pipeline.text.languages import bcp47, english_name, primary, same_language


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        *(("en", "en"), ("EN", "en"), ("eng", "en"), ("en-US", "en-US"), ("en_us", "en-US"), ("en-orig", "en"), ("es-419", "es-419")),
        *(("zh-Hans", "zh-Hans"), ("zh_hant_tw", "zh-Hant-TW"), ("zh-CN", "zh-CN"), ("chi", "zh"), ("cmn", "zh"), ("yue", "yue")),
        *(("iw", "he"), ("in", "id"), ("jw", "jv"), ("fre", "fr"), ("ger", "de"), ("haw", "haw"), ("pt-br", "pt-BR")),
        *((None, "und"), ("", "und"), ("und", "und"), ("mul", "und"), ("unknown", "und"), ("1234", "und"), ("<script>", "und")),
        ("en-nP7-2PuUl7o", "en"),  # YouTube's suffix of a second track in a language
    ],
)
def test_bcp47(code: str | None, tag: str):
    assert bcp47(code) == tag


def test_languages_are_compared_without_script_and_country():
    assert same_language("zh-Hans", "zh-TW") and same_language("nb", "no") and same_language("nn", "nb")
    assert not same_language("zh", "yue") and not same_language("und", "und")
    assert primary("pt-BR") == "pt" and english_name("pt-BR") == "Portuguese" and english_name("xyz") == "xyz"
