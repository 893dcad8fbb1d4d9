"""Times, sizes and counts in words. Inside the library times are seconds (float) or exact pts; sizes are bytes."""

import re

from internvid_pipeline.errors import UsageError

_SIZE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def timestamp(seconds: float) -> str:
    """Seconds as `HH:MM:SS.mmm`, the form of InternVid's released files; hours grow beyond two digits."""
    milliseconds = round(seconds * 1000)
    sign = "-" if milliseconds < 0 else ""
    whole, milli = divmod(abs(milliseconds), 1000)
    hours, rest = divmod(whole, 3600)
    return f"{sign}{hours:02d}:{rest // 60:02d}:{rest % 60:02d}.{milli:03d}"


def duration_text(seconds: float) -> str:
    """Seconds for people: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size_text(size_bytes: float) -> str:
    """Bytes for people, in powers of ten: `812 B`, `4.1 MB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def parse_size(text: str) -> int:
    """Bytes of `"2GB"`, `"500 MiB"` or `"1000000"`. Raises UsageError."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if not match or match[2].upper() not in _SIZE_UNITS:
        raise UsageError(f"{text!r} is not a size; write a number with B, KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 500MB")
    return int(float(match[1]) * _SIZE_UNITS[match[2].upper()])
