"""Signs that a recogniser made its text up: the same words over and over, more words than time, words where nobody speaks.

Whisper's own thresholds (compression ratio 2.4, mean log-probability -1, no-speech probability 0.6) are of its paper's section 4.5. That it
says the same few sentences over sounds that are no speech, and that leaving these out by a list helps, is shown in arXiv:2501.11378.
"""

import re
import zlib
from collections.abc import Sequence

_MOST_NGRAM = 8
_LEAST_REPEATS = 4
# Whisper learnt from subtitles how these begin and end. Nobody says such credits aloud.
_CREDITS = re.compile(
    r".*amara\.org|(?:subtitles?|subtitled|captions?|captioned|transcribed|transcription) by |sous-titr(?:es|age) |"
    r"subt[ií]tulos (?:realizados )?por |"
    r"untertitel(?:ung)? (?:der|von|im|des) |legendas? (?:pela|por) |sottotitoli (?:creati|e revisione|a cura)|ondertiteld door|"
    r"napisy stworzone|tekstning av|altyaz[ıi] m\.k|субтитры (?:сделал|создавал|подогнал|делал)|редактор субтитров|корректор [а-я]\.|"
    r"字幕(?:由|製作|制作|志[愿願]者|by)|.*明[镜鏡][与與][点點][点點]|자막 ?(?:제공|제작)|ترجمة نانسي",
    re.IGNORECASE,
)
# What ends many videos, and is said: made up only where the recogniser itself doubts that anybody speaks.
_FAREWELLS = re.compile(
    r"(?:thank you|thanks)(?: so much| very much)? for watching|(?:please )?subscribe(?: to (?:my|our|the) channel)?|you|bye(?:[ -]bye)?|"
    r"ご視聴ありがとうございました|おやすみなさい|시청해\s?주셔서 감사합니다|谢谢(?:观看|大家)|謝謝(?:觀看|大家)|"
    r"спасибо за просмотр|продолжение следует|gracias por ver(?: el video)?|obrigad[oa] por assistir|"
    r"merci d'avoir regardé(?: cette vidéo)?|vielen dank fürs zuschauen|dziękuję za uwagę|abone olmayı unutmayın|"
    r"izlediğiniz için teşekkürler|شكرا (?:للمشاهدة|على المشاهدة)",
    re.IGNORECASE,
)
_MOST_CREDIT_CHARS = 120  # a longer text speaks of subtitles


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes of its zlib compression, as Whisper measures it; 0 for an empty text."""
    data = text.encode(errors="replace")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def repeated_share(words: Sequence[str]) -> float:
    """Share of the words that lie in a run of at least four times the same one to eight words, 0 to 1. Time is linear in the words."""
    folded = [word.strip().casefold().strip(".,!?…。、！？") for word in words]
    covered = 0
    for size in range(1, _MOST_NGRAM + 1):
        same = longest = 0
        for i in range(size, len(folded)):
            same = same + 1 if folded[i] == folded[i - size] else 0
            longest = max(longest, same)
        if longest >= size * (_LEAST_REPEATS - 1):
            covered = max(covered, longest + size)
    return min(1.0, covered / len(folded)) if folded else 0.0


def learnt_by_heart(text: str, is_doubtful: bool) -> bool:
    """True for a subtitler's credit, and, where the recogniser doubts that anybody speaks, for the farewells of videos."""
    short = text.strip(" .,!?…。！？\"'")
    if len(short) > _MOST_CREDIT_CHARS:
        return False
    return bool(_CREDITS.match(short)) or (is_doubtful and bool(_FAREWELLS.fullmatch(short)))
