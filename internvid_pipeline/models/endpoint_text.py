"""Language models behind a server that speaks OpenAI's chat completions, as summarisers: captions to be merged, speech to be translated.
InternVid2 asked Vicuna in this way, served by vLLM (arXiv:2403.15377, appendix B).
"""

import json
from collections.abc import Sequence

from internvid_pipeline.models.base import Answer
from internvid_pipeline.models.chat_endpoint import EndpointModel
from internvid_pipeline.models.endpoint_video import read_completion


class EndpointSummariser(EndpointModel):
    """A Summariser. How long a text may be is up to the server."""

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[Answer]:
        """See `base.Summariser`. All are asked at once, as many as the preset lets be in flight. Raises ModelError where the server fails
        on one of them and on no other: the engine then asks for each alone."""
        asked = [self._endpoint.submit(self._body(text, prompt)) if text.strip() else None for text in texts]
        return [read_completion(answer.result()) if answer is not None else Answer("") for answer in asked]

    def _body(self, text: str, prompt: str | None) -> bytes:
        message = {"role": "user", "content": f"{prompt}\n{text}" if prompt else text}
        preset = self._preset
        return json.dumps(
            {"model": preset.repository, "messages": [message], "max_tokens": preset.max_new_tokens, "temperature": 0}
        ).encode()
