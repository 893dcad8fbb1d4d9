"""A language model behind an HTTP endpoint, against a server on loopback."""

import json

import pytest

from internvid_pipeline.errors import ModelError
from internvid_pipeline.models import build_summariser
from tests.models.chat_server import Behaviour, ChatServer, caption_of, endpoint_preset


def answer_to(text: str, prompt: str | None = None) -> str:
    """What the server says of a text."""
    content = f"{prompt}\n{text}" if prompt else text
    return caption_of(json.dumps([{"role": "user", "content": content}]).encode())


def test_each_text_gets_its_own_answer_and_one_that_breaks_the_server_is_named():
    """Out of order, with faults; texts in any script. The last text fails for ever."""
    texts = [f"{number}: что здесь сказано? 😀" for number in range(40)]
    poison = answer_to("poison", "To English:")
    behaviour = Behaviour(latency_s=0.005, slots=8, busy=0.1, fails=0.05, poison=(poison,))
    with ChatServer(behaviour) as server:
        summariser = build_summariser(endpoint_preset(server.url, "summary", attempts=3))
        found = summariser.summaries([*texts, " "], "To English:")
        with pytest.raises(ModelError, match="failed 3 times on this request, and on no other"):
            summariser.summaries([texts[0], "poison"], "To English:")
    assert [answer.text for answer in found] == [*(answer_to(text, "To English:") for text in texts), ""]
