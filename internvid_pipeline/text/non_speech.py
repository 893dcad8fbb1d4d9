"""Marks that say that nobody speaks: `[Music]`, `(музыка)`, `♪♪`, `[拍手]`."""

import re
from collections.abc import Sequence
from dataclasses import replace

from internvid_pipeline.records import SpokenWord

# What stands between brackets in subtitles and in recognisers' answers: beginnings of words (of the words inside the brackets), in the
# languages that InternVid's videos are in and the other large ones. Scripts without spaces: found anywhere inside.
_STEMS = (
    # English
    "music instrumental applau laugh chuckl giggl silen noise cheer sigh gasp cough clap whistl inaudible indistinct unintelligible "
    "foreign speaking singing sings hums humming background crowd chatter barking beep ringing static blank sound thud footsteps "
    # Romance and Germanic
    "música musica musique muzică aplaus applaud applaudi aplauz risa risas rires risate riso râsete silêncio silence silenzio silencio "
    "musik gelächter lachen lacht applaus beifall stille muziek gelach stilte musikk latter skratt tystnad rumore bruit ruido geräusch "
    "canto chant gesang cantando inintelligible ininteligible unverständlich "
    # Slavic
    "музык музик аплодисмент смех сміх смее тишин тиша шум звук поёт поет пение співа muzyka muzyki muzyce hudba śmiech smích oklaski "
    "potlesk glazba smijeh пљесак смијех музика "
    # Turkish, Greek, Finnish, Hungarian, Vietnamese, Indonesian
    "müzik alkış kahkaha gülme sessizlik μουσική χειροκρότημα γέλια σιωπή musiikki naurua nauraa taputuk zene nevetés taps "
    "âm_nhạc nhạc vỗ_tay tiếng_cười cười musik tepuk tertawa tawa "
    # Arabic, Persian, Urdu, Hebrew
    "موسيقى موسیقی موسيقا تصفيق ضحك صمت ضجيج خنده تشویق سکوت مزيكا מוזיקה מוסיקה צחוק מחיאות שקט "
    # Indic
    "संगीत तालियाँ तालियां हँसी हंसी हास्य सन्नाटा संगित সঙ্গীত সংগীত হাসি হাততালি இசை சிரிப்பு கைதட்டல் సంగీతం నవ్వు చప్పట్లు ಸಂಗೀತ സംഗീതം ചിരി "
    # Thai, Korean
    "เพลง ดนตรี เสียง หัวเราะ ปรบมือ เงียบ 음악 박수 웃음 침묵 노래 소음"
)
_UNSPACED_STEMS = (
    "音乐 音樂 掌声 掌聲 笑声 笑聲 鼓掌 沉默 静音 靜音 歌声 歌聲 配乐 音楽 拍手 笑い 笑 歓声 無音 沈黙 騒音 เพลง ดนตรี หัวเราะ ปรบมือ"
)
_BRACKETED = re.compile(r"[\[(（【〔［{*＊<＜][^\[\](){}（）【】〔〕［］*＊<>＜＞\n]{1,60}[\])）】〕］}*＊>＞]")
_NOTES = re.compile(r"[♪♫♬♩🎵🎶🎼]+")
_BEGINS = re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(stem.replace('_', ' ')) for stem in _STEMS.split())})", re.IGNORECASE)
_HOLDS = re.compile("|".join(_UNSPACED_STEMS.split()))
_MOST_WORDS = 6


def mark_spans(text: str) -> list[tuple[int, int]]:
    """Where marks stand in a text, [start, end) in characters, in order. Linear in the length."""
    found = [match.span() for match in _BRACKETED.finditer(text) if _is_mark(match[0][1:-1])]
    found += [match.span() for match in _NOTES.finditer(text)]
    return sorted(found)


def _is_mark(inside: str) -> bool:
    return len(inside.split()) <= _MOST_WORDS and bool(_BEGINS.search(inside) or _HOLDS.search(inside))


def without_marks(words: Sequence[SpokenWord]) -> tuple[SpokenWord, ...]:
    """The words without marks, which may go over several of them; empty where nothing but marks and punctuation is left."""
    text = "".join(word.text for word in words)
    spans = mark_spans(text)
    kept = tuple(words)
    if spans:
        is_mark = bytearray(len(text))
        for start, end in spans:
            is_mark[start:end] = b"\1" * (end - start)
        left = []
        offset = 0
        for word in words:
            cleaned = "".join(character for i, character in enumerate(word.text, offset) if not is_mark[i])
            offset += len(word.text)
            if cleaned.strip():
                left.append(word if cleaned == word.text else replace(word, text=cleaned))
        kept = tuple(left)
    return kept if any(character.isalnum() for word in kept for character in word.text) else ()
