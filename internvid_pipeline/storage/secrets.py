"""Keeping credentials out of everything that is written or shown. They come from the environment only, and stay there."""

import os
import re

_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY|ACCOUNT_KEY|CONNECTION_STRING")
_NOT_VALUES = re.compile(r"_(PATH|FILE|URI|URL|MODE)$")
_SHORTEST = 8  # shorter values are words such as `test`, and masking those would spoil messages
_USERINFO = re.compile(r"(?<=://)[^/\s@]+:[^/\s@]+@")


def redacted(text: str) -> str:
    """`text` without the values of credentials in this process's environment and without `user:password@` in URIs."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _NAMES.search(name.upper()) and not _NOT_VALUES.search(name.upper()) and value in text:
            text = text.replace(value, "***")
    return _USERINFO.sub("***@", text)


def has_credentials(uri: str) -> bool:
    """True where a URI carries a user or password (`s3://key:secret@bucket`)."""
    authority = uri.split("://", 1)[-1].split("/", 1)[0]
    return "://" in uri and "@" in authority
