"""Keeping credentials out of everything that is written or shown. They come from the environment only, and stay there."""

import os
import re

from internvid_pipeline.errors import UsageError

_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY|ACCOUNT_KEY|CONNECTION_STRING")
_NOT_VALUES = re.compile(r"_(PATH|FILE|URI|URL|MODE)$")
_SHORTEST = 8  # shorter values are words such as `test`, and masking those would spoil messages
# `user:password@`, the password with slashes too, as AWS's keys have them (what is a number up to the next slash is a port); `token@`.
_USERINFO = re.compile(r"(?<=://)(?:[^/@:\s]+:(?![0-9]+(?:[/?#\s]|$))[^@\s]*@|[^/@\s]+@)")
# What opens a signed address of S3, Google, Azure, and what sites call their keys.
_SIGNATURE = re.compile(
    r"(?i)(?<=[?&])(x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid|googleaccessid|signature|sig|hmac|"
    r"(?:access_|auth_|id_)?token|api_?key|key|password|passwd|secret)=[^&#\s\"'<>]+"
)


def redacted(text: str) -> str:
    """`text` without the values of credentials in this process's environment, and as `without_credentials`."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _NAMES.search(name.upper()) and not _NOT_VALUES.search(name.upper()) and value in text:
            text = text.replace(value, "***")
    return without_credentials(text)


def without_credentials(text: str) -> str:
    """`text` without `user:password@` and without the signatures and keys of signed addresses. The same everywhere, whatever stands in
    the environment."""
    if "://" not in text:
        return text
    return _SIGNATURE.sub(r"\1=***", _USERINFO.sub("***@", text))


def has_credentials(uri: str) -> bool:
    """True where a URI carries a user or password (`s3://key:secret@bucket`)."""
    return _USERINFO.search(uri) is not None


def check_no_credentials(what: str, uri: str) -> str:
    """`uri`, if it carries no user or password. Raises UsageError that does not repeat them."""
    if has_credentials(uri):
        place = without_credentials(uri).split("@")[-1]
        raise UsageError(
            f"{what} {place!r}: credentials in a URI would end up in manifests and logs; leave them out and set the driver's environment "
            "variables, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return uri
