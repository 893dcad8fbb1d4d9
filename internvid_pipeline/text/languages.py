"""Codes of languages as sites, containers and models write them, as BCP-47 tags in their usual form."""

import re
from collections.abc import Mapping

UNKNOWN = "und"

# ISO 639-2 and 639-3 codes of containers (both the bibliographic and the terminological ones) that have a two-letter code.
_SHORT_CODES = (
    "afr:af alb:sq amh:am ara:ar arb:ar arm:hy asm:as aze:az baq:eu bel:be ben:bn bod:bo bos:bs bul:bg bur:my cat:ca ces:cs chi:zh "
    "cmn:zh cym:cy cze:cs dan:da deu:de dut:nl ell:el eng:en epo:eo est:et eus:eu fao:fo fas:fa fin:fi fra:fr fre:fr geo:ka ger:de "
    "gle:ga glg:gl gre:el guj:gu hat:ht hau:ha heb:he hin:hi hrv:hr hun:hu hye:hy ice:is ind:id isl:is ita:it jav:jv jpn:ja kan:kn "
    "kat:ka kaz:kk khm:km kor:ko lao:lo lat:la lav:lv lin:ln lit:lt ltz:lb mac:mk mal:ml mar:mr may:ms mkd:mk mlg:mg mlt:mt mon:mn "
    "mri:mi msa:ms mya:my nep:ne nld:nl nno:nn nob:nb nor:no oci:oc pan:pa per:fa pol:pl por:pt pus:ps ron:ro rum:ro rus:ru san:sa "
    "sin:si slk:sk slo:sk slv:sl sna:sn snd:sd som:so spa:es sqi:sq srp:sr sun:su swa:sw swe:sv tam:ta tat:tt tel:te tgk:tg tgl:tl "
    "tha:th tib:bo tuk:tk tur:tr ukr:uk urd:ur uzb:uz vie:vi wel:cy yid:yi yor:yo zho:zh"
)
_SHORT: Mapping[str, str] = dict(pair.split(":") for pair in _SHORT_CODES.split())
# Codes that BCP-47's registry marks as replaced, and Whisper's own name of Javanese.
_REPLACED: Mapping[str, str] = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "fil": "tl", "sh": "sr"}
_MEANS_NOTHING = frozenset({"und", "unk", "zxx", "mis", "mul", "qaa", "none", "null", "unknown", "default", ""})
_ENGLISH_NAMES = (
    "af:Afrikaans am:Amharic ar:Arabic az:Azerbaijani be:Belarusian bg:Bulgarian bn:Bengali bs:Bosnian ca:Catalan cs:Czech cy:Welsh "
    "da:Danish de:German el:Greek en:English eo:Esperanto es:Spanish et:Estonian eu:Basque fa:Persian fi:Finnish fr:French ga:Irish "
    "gl:Galician gu:Gujarati he:Hebrew hi:Hindi hr:Croatian hu:Hungarian hy:Armenian id:Indonesian is:Icelandic it:Italian ja:Japanese "
    "jv:Javanese ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean la:Latin lo:Lao lt:Lithuanian lv:Latvian mk:Macedonian "
    "ml:Malayalam mn:Mongolian mr:Marathi ms:Malay my:Burmese ne:Nepali nl:Dutch no:Norwegian pa:Punjabi pl:Polish ps:Pashto "
    "pt:Portuguese ro:Romanian ru:Russian si:Sinhala sk:Slovak sl:Slovenian so:Somali sq:Albanian sr:Serbian sv:Swedish sw:Swahili "
    "ta:Tamil te:Telugu th:Thai tl:Tagalog tr:Turkish uk:Ukrainian ur:Urdu uz:Uzbek vi:Vietnamese yi:Yiddish yue:Cantonese zh:Chinese"
)
_NAMES: Mapping[str, str] = dict(pair.split(":") for pair in _ENGLISH_NAMES.split())


def bcp47(code: str | None) -> str:
    """A site's, container's or model's code as a BCP-47 tag: `eng` and `EN` are `en`, `zh_hans` is `zh-Hans`, `pt-br` is `pt-BR`, `iw`
    is `he`, YouTube's `en-orig` is `en`; `und` where it says nothing or is no code."""
    parts = re.split(r"[-_]", (code or "").strip())
    language = parts[0].lower()
    language = _REPLACED.get(language, _SHORT.get(language, language))
    if language in _MEANS_NOTHING or not re.fullmatch(r"[a-z]{2,3}", language):
        return UNKNOWN
    tag = [language]
    for part in parts[1:]:
        if re.fullmatch(r"[A-Za-z]{4}", part) and part.lower() != "orig":
            tag.append(part.title())  # a script
        elif re.fullmatch(r"[A-Za-z]{2}|[0-9]{3}", part):
            tag.append(part.upper())  # a region
        else:
            break  # variants, private uses, a site's own suffixes
    return "-".join(tag)


def primary(tag: str) -> str:
    """The language alone: `zh` of `zh-Hant-TW`. Norwegian's two written forms are `no`, which is what models tell apart."""
    language = tag.split("-")[0]
    return "no" if language in ("nb", "nn") else language


def same_language(one: str, other: str) -> bool:
    """True where both are known and the same, whatever script or country they name."""
    return UNKNOWN not in (one, other) and primary(one) == primary(other)


def english_name(tag: str) -> str:
    """The language's name for a prompt; the tag itself where we have none."""
    return _NAMES.get(primary(tag), tag)


def known_codes() -> tuple[str, ...]:
    """Codes that files are named after: the languages with a name here, and the usual tags of those with several written forms."""
    return (*_NAMES, "en-US", "en-GB", "es-419", "fr-CA", "pt-BR", "pt-PT", "zh-Hans", "zh-Hant", "zh-CN", "zh-TW")
