"""Language models behind a server that speaks OpenAI's chat completions, as summarisers: captions to be merged, speech to be translated.
InternVid2 asked Vicuna in this way, served by vLLM (arXiv:2403.15377, appendix B).
"""

import json
from collections.abc import Sequence

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import ContractError
from internvid_pipeline.models.chat_endpoint import ChatEndpoint
from internvid_pipeline.models.endpoint_video import read_completion


class EndpointSummariser:
    """A Summariser. Temperature 0; whether the server then always says the same is up to it. How long a text may be is up to it too."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Touches no network. Raises SetupError where the environment lacks the server's key."""
        if preset.endpoint is None:
            raise ContractError(f"model {preset.name!r} has no endpoint")
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        self._endpoint = ChatEndpoint(preset.endpoint)

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[str]:
        """See `base.Summariser`. All are asked at once, as many as the preset lets be in flight. Raises ModelError where the server fails
        on one of them and on no other: the engine then asks for each alone."""
        asked = [self._endpoint.submit(self._body(text, prompt)) if text.strip() else None for text in texts]
        return [read_completion(answer.result()).text if answer is not None else "" for answer in asked]

    def _body(self, text: str, prompt: str | None) -> bytes:
        content = f"{prompt}\n{text}" if prompt else text
        body = {
            "model": self._preset.repository,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self._preset.max_new_tokens,
            "temperature": 0,
        }
        return json.dumps(body).encode()
