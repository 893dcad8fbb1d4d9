"""One row per item lost: drops are judgements, failures are accidents. Nothing is lost without one of the two."""

from dataclasses import dataclass
from enum import StrEnum


class DropReason(StrEnum):
    """Why an item was left out on purpose."""

    DUPLICATE = "duplicate"  # same bytes as an earlier input
    NO_VIDEO = "no_video"  # a media file without a picture
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    BLACK = "black"
    STILL = "still"
    DAMAGED = "damaged"  # frames are missing or corrupt
    NOT_COPYABLE = "not_copyable"  # no part of it can be cut out exactly without encoding
    NO_CLIPS = "no_clips"  # every part of it was dropped
    EMPTY_CAPTION = "empty_caption"
    REFUSED_CAPTION = "refused_caption"  # the model says that it will not or cannot look
    LOOPING_CAPTION = "looping_caption"  # the same words over and over
    TRUNCATED_CAPTION = "truncated_caption"  # cut off at the bound of tokens
    BELOW_MINIMUM = "below_minimum"
    ABOVE_MAXIMUM = "above_maximum"
    BELOW_PERCENTILE = "below_percentile"
    EXCLUDED = "excluded"  # its id stands in a file of ids to leave out
    RESOLUTION = "resolution"  # no version of the size asked for
    LANGUAGE = "language"
    COUNTRY = "country"
    LICENCE = "licence"
    UPLOAD_DATE = "upload_date"
    AGE_LIMIT = "age_limit"
    LIVE = "live"  # a live stream, or announced and not yet there
    NO_RESULTS = "no_results"  # a search that found nothing, an empty channel
    SUBTITLES = "subtitles"  # one subtitle of a video could not be had
    SPAN_OUTSIDE = "span_outside"  # a listed span lies beyond the end of the video
    NOT_MATCHING = "not_matching"  # a condition is false
    NOT_DRAWN = "not_drawn"  # a random draw took others
    OVER_QUOTA = "over_quota"  # there are enough of its language, category, …
    REMOVED = "removed"  # somebody asked for it to be taken out of this data set (internvid remove)
    NO_SPEECH = "no_speech"  # nobody speaks, or too unlikely
    NO_SOUND = "no_sound"  # no audio stream to listen to
    NON_SPEECH = "non_speech"  # marks of music, laughter or silence only
    LOW_CONFIDENCE = "low_confidence"  # the recogniser itself does not believe it
    REPETITION = "repetition"  # the same words over and over, as a recogniser that is stuck says them
    TEXT_OVER_SILENCE = "text_over_silence"  # words where no voice is heard, or more than can be said in the time
    OUTSIDE_CLIPS = "outside_clips"  # said between the clips
    NOT_TRANSLATED = "not_translated"  # the translator gave no usable answer
    INCOMPREHENSIBLE = "incomprehensible"  # speech that no caption should be made of
    NOTHING_TO_FUSE = "nothing_to_fuse"  # one text alone
    INVENTED = "invented"  # a fused caption with words that none of its inputs has
    MISSING_VALUE = "missing_value"  # a rule looks at a value that this item does not have


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRecord:
    """item_id: what was dropped. part_of: None where the item is an input of the stage; otherwise the input of which it was a part
    (a shot of a video): the input itself is counted as emitted if other parts of it were kept."""

    stage: str
    item_id: str
    part_of: str | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """error_class: name of the error. message: one line for people. detail: end of the traceback or of the worker's last words.
    attempts: how often the item was tried."""

    stage: str
    item_id: str
    error_class: str
    message: str
    detail: str
    attempts: int
