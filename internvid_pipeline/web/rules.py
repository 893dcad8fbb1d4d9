"""Rules on what is known of a video before a byte of it is downloaded (InternVid's: arXiv:2307.06942, section 3.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from internvid_pipeline.config.model import Section
from internvid_pipeline.records import DropReason

_NOT_LIVE = ("not_live", "was_live", None)
_CREATIVE_COMMONS = ("creative commons", "creativecommons", "cc-by", "cc by", "cc0", "public domain")


class MetadataRules(Section):
    """Which videos are taken. What a site does not say is kept, but for what `require` names."""

    min_duration_s: float | None = Field(default=10.0, ge=0, description="Shorter videos are dropped; 10 s as InternVid, section 3.1.")
    max_duration_s: float | None = Field(default=1800.0, gt=0, description="Longer videos are dropped; 30 min as InternVid, section 3.1.")
    min_resolution: int | None = Field(
        default=360, ge=1, description="Shorter side in pixels below which a video is dropped; 360P as InternVid, section 3.1."
    )
    max_resolution: int | None = Field(
        default=720, ge=1, description="Of several versions the best up to this is taken, else the smallest above; 720P as InternVid."
    )
    languages: tuple[str, ...] = Field(default=(), description="Languages to keep, as the site names them (en also takes en-US).")
    countries: tuple[str, ...] = Field(default=(), description="Countries to keep, as the site names them.")
    licences: tuple[str, ...] = Field(
        default=(), description="Words of which the licence must hold one, or `creative-commons` for all such licences."
    )
    uploaded_from: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\d$", description="First day of upload, such as 2015-01-01.")
    uploaded_until: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\d$", description="Last day of upload, such as 2023-03-31.")
    max_age_limit: int | None = Field(default=17, ge=0, description="Videos for an age above this are dropped; null: none is.")
    live: bool = Field(default=False, description="Take live streams and announced premieres too.")
    require: tuple[str, ...] = Field(
        default=(), description="Of duration, language, country, licence, upload_date, age_limit: drop videos where the site is silent."
    )


Judgement = tuple[DropReason, str]


def judge(info: Mapping[str, Any], rules: MetadataRules) -> Judgement | None:
    """Why a video is left out, None where it is taken. info: as yt-dlp gives it. The size is judged by `judge_resolution`."""
    if not rules.live and info.get("live_status") not in _NOT_LIVE:
        return DropReason.LIVE, f"its live status is {info['live_status']} (rules.live)"
    for check in (_duration, _age, _date, _language, _country, _licence):
        if found := check(info, rules):
            return found
    return None


def _missing(name: str, value: Any, rules: MetadataRules) -> Judgement | None:
    if value is None and name in rules.require:
        return DropReason.MISSING_VALUE, f"the site does not say its {name} (rules.require)"
    return None


def _duration(info: Mapping[str, Any], rules: MetadataRules) -> Judgement | None:
    value = number(info.get("duration"))
    if value is None:
        return _missing("duration", value, rules)
    return judge_duration(value, rules)


def judge_duration(duration_s: float, rules: MetadataRules) -> Judgement | None:
    """Why a video of this length is left out; used again when the file itself says how long it is."""
    if rules.min_duration_s is not None and duration_s < rules.min_duration_s:
        return DropReason.TOO_SHORT, f"lasts {duration_s:g} s, less than {rules.min_duration_s:g} (rules.min_duration_s)"
    if rules.max_duration_s is not None and duration_s > rules.max_duration_s:
        return DropReason.TOO_LONG, f"lasts {duration_s:g} s, more than {rules.max_duration_s:g} (rules.max_duration_s)"
    return None


def _age(info: Mapping[str, Any], rules: MetadataRules) -> Judgement | None:
    value = number(info.get("age_limit"))
    if value is None:
        return _missing("age_limit", value, rules)
    if rules.max_age_limit is not None and value > rules.max_age_limit:
        return DropReason.AGE_LIMIT, f"is for ages from {value:g} on, allowed is {rules.max_age_limit} (rules.max_age_limit)"
    return None


def _date(info: Mapping[str, Any], rules: MetadataRules) -> Judgement | None:
    value = day(info.get("upload_date"))
    if value is None:
        return _missing("upload_date", value, rules)
    if (rules.uploaded_from and value < rules.uploaded_from) or (rules.uploaded_until and value > rules.uploaded_until):
        bounds = f"{rules.uploaded_from or '…'} to {rules.uploaded_until or '…'}"
        return DropReason.UPLOAD_DATE, f"was uploaded on {value}, asked for is {bounds} (rules.uploaded_from, uploaded_until)"
    return None


def _among(name: str, value: Any, wanted: Sequence[str], reason: DropReason, rules: MetadataRules) -> Judgement | None:
    if value in (None, ""):
        return _missing(name, None, rules)
    text = str(value).lower()
    if not wanted or any(text == one.lower() or text.startswith(f"{one.lower()}-") for one in wanted):
        return None
    return reason, f"its {name} is {str(value)[:80]!r}, asked for is {', '.join(wanted)}"


def _language(info: Mapping[str, Any], rules: MetadataRules) -> Judgement | None:
    return _among("language", info.get("language"), rules.languages, DropReason.LANGUAGE, rules)


def _country(info: Mapping[str, Any], rules: MetadataRules) -> Judgement | None:
    return _among("country", info.get("country") or info.get("location"), rules.countries, DropReason.COUNTRY, rules)


def _licence(info: Mapping[str, Any], rules: MetadataRules) -> Judgement | None:
    value = info.get("license")
    if value in (None, ""):
        # A site that names a licence only where it is a free one (YouTube) keeps silent about all others: silence is no licence.
        if rules.licences:
            return DropReason.LICENCE, f"names no licence, asked for is {', '.join(rules.licences)} (rules.licences)"
        return _missing("licence", None, rules)
    text = str(value).lower()
    wanted = [word for name in rules.licences for word in (_CREATIVE_COMMONS if name == "creative-commons" else (name.lower(),))]
    if not wanted or any(word in text for word in wanted):
        return None
    return DropReason.LICENCE, f"its licence is {str(value)[:80]!r}, asked for is {', '.join(rules.licences)} (rules.licences)"


def judge_resolution(width_px: Any, height_px: Any, rules: MetadataRules) -> Judgement | None:
    """Why a picture of this size is left out: `360P` counts the shorter side, so that upright videos count as lying ones do."""
    sides = [side for side in (number(width_px), number(height_px)) if side]
    if sides and rules.min_resolution is not None and min(sides) < rules.min_resolution:
        best = "x".join(f"{side:g}" for side in sides)
        return DropReason.RESOLUTION, f"its best version is {best}, smaller than {rules.min_resolution}P (rules.min_resolution)"
    return None


def number(value: Any) -> float | None:
    """A finite number, None for all else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) == float("inf"):
        return None
    return float(value)


def day(value: Any) -> str | None:
    """`20150131` as `2015-01-31`, None for what is no date."""
    text = str(value or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isascii() and text.isdigit() else None
