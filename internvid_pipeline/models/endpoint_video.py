"""Video language models behind a server that speaks OpenAI's chat completions: vLLM, SGLang, a provider's.

The frames go as the JPEGs that they are, each after its time. Requests are sent as soon as a clip's frames are read, many at once.
"""

import base64
import json
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import InternvidError, ModelError
from internvid_pipeline.media.picture_type import frame_format
from internvid_pipeline.models.base import Answer, Finish, VideoFrames
from internvid_pipeline.models.chat_endpoint import EndpointModel, outcome_of

_FINISH: dict[str, Finish] = {"length": "length", "content_filter": "refusal"}
_PICTURE = b'{"type": "image_url", "image_url": {"url": "data:image/%s;base64,%s"}}'


class EndpointVideoCaptioner(EndpointModel):
    """A VideoCaptioner."""

    def prepared(self, video: VideoFrames, prompt: str) -> "Future[dict[str, Any]]":
        """Sends the request; see `base.VideoCaptioner`."""
        return self._endpoint.submit(request_of(self._preset, video, prompt))

    def answers(self, prepared: "Sequence[Future[dict[str, Any]]]") -> list[Answer]:
        """Waits for the answers, which may come in any order; see `base.VideoCaptioner`."""
        found = (outcome_of(future, read_completion) for future in prepared)
        return [Answer("", error=one) if isinstance(one, InternvidError) else one for one in found]

    def close(self) -> None:
        """See `base.VideoCaptioner`."""
        self._endpoint.close()


def request_of(preset: ModelPreset, video: VideoFrames, prompt: str) -> bytes:
    """The body of the request for a clip: JSON. Pictures are put in as they are, since base64 holds nothing that JSON would escape: taking
    them through `json.dumps` costs three times as much, and while one thread does so the others, which speak to the server, stand still."""
    parts = [_text(f"{len(video.jpegs)} frames of a video of {video.duration_s:.1f} seconds:")]
    for jpeg, time_s in zip(video.jpegs, video.times_s, strict=True):
        parts += [_text(f"<{time_s:.1f} seconds>"), _PICTURE % (frame_format(jpeg).encode(), base64.b64encode(jpeg))]
    content = b", ".join([*parts, _text(prompt)])
    rest = json.dumps({"model": preset.repository, "max_tokens": preset.max_new_tokens, "temperature": 0})
    return b"".join((rest[:-1].encode(), b', "messages": [{"role": "user", "content": [', content, b"]}]}"))


def _text(text: str) -> bytes:
    return json.dumps({"type": "text", "text": text}).encode()


def read_completion(reply: dict[str, Any]) -> Answer:
    """The first choice of a completion. Raises ModelError where there is none."""
    try:
        choice = reply["choices"][0]
        message = choice["message"]
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
        refusal = message.get("refusal")
        tokens = (reply.get("usage") or {}).get("completion_tokens")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelError(f"the endpoint's answer holds no text: {json.dumps(reply)[:200]}") from error
    finish: Finish = "refusal" if refusal else _FINISH.get(str(choice.get("finish_reason")), "stop")
    text = " ".join(str(refusal or content).split())
    return Answer(text, finish, tokens if isinstance(tokens, int) else None)
