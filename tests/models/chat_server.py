"""A server on loopback that speaks OpenAI's chat completions and misbehaves as asked. Runs in a process of its own, on one event loop.

It works on at most `slots` requests at a time, each for a random time around `latency_s`; the answer names the first frame asked
about, or the text where there is none. Faults, by share of the requests: 429 with Retry-After, 500, a connection cut before or in the
middle of the answer, an answer that is no JSON. A number in `poison` fails for ever with 500. `GET /stats` tells how busy it was.
"""

import asyncio
import atexit
import base64
import contextlib
import hashlib
import json
import random
import re
import subprocess
import sys
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from internvid_pipeline.config.presets import EndpointConfig, ModelPreset

REPO = Path(__file__).resolve().parents[2]
_BEFORE_FRAME = b"data:image/jpeg;base64,"


@dataclass(frozen=True)
class Behaviour:
    """Seconds and shares; see the module."""

    latency_s: float = 0.0
    slots: int = 64
    busy: float = 0.0
    fails: float = 0.0
    cuts: float = 0.0
    garbles: float = 0.0
    seed: int = 1
    refuses: str = ""
    poison: tuple[str, ...] = ()
    key: str = ""
    texts: dict[str, Any] = field(default_factory=dict)


def caption_of(jpeg: bytes) -> str:
    """What the server says of a clip: it follows from the bytes of its first frame."""
    return f"clip {hashlib.sha256(jpeg).hexdigest()[:16]}"


def endpoint_preset(url: str, task: str = "video_caption", **endpoint: Any) -> ModelPreset:
    """A preset that asks the server."""
    config = EndpointConfig(**{"url": url, "max_in_flight": 8, "timeout_s": 10.0, **endpoint})
    fields = {"name": "served-model", "task": task, "adapter": "openai", "repository": "served-model", "commit": "v7"}
    return ModelPreset(**fields, prompt="describe", endpoint=config)


class ChatServer:
    """The server's process, from the side of a test."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        asked = json.dumps(asdict(behaviour or Behaviour()))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.models.chat_server", asked], cwd=REPO, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/v1"

    @classmethod
    def started(cls, behaviour: Behaviour | None = None) -> "ChatServer":
        """A server that lives as long as this process."""
        server = cls(behaviour)
        atexit.register(server.stop)
        return server

    def __enter__(self) -> "ChatServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stats(self) -> dict[str, float]:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats", timeout=10) as reply:
            return dict(json.load(reply))


def _first_frame(body: bytes) -> bytes:
    """Where there is none: the messages."""
    if _BEFORE_FRAME not in body:
        return json.dumps(json.loads(body)["messages"]).encode()
    start = body.index(_BEFORE_FRAME) + len(_BEFORE_FRAME)
    return base64.b64decode(body[start : body.index(b'"', start)])


class _Server:
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.chance = random.Random(behaviour.seed)
        self.slots = asyncio.Semaphore(behaviour.slots)
        self.counts = {"requests": 0, "answers": 0, "busy_s": 0.0, "most_in_flight": 0, "first_s": 0.0, "last_s": 0.0}
        self.in_flight = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False where the connection ends."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        method, path, _ = head.split("\r\n")[0].split()
        if path == "/stats":
            return await self._reply(writer, 200, self.counts)
        if path == "/v1/models":
            return await self._reply(writer, 200, {"data": []})
        if self.behaviour.key and f"Bearer {self.behaviour.key}" not in head:
            return await self._reply(writer, 401, {"error": "wrong key"})
        if method != "POST" or path != "/v1/chat/completions":
            return await self._reply(writer, 404, {"error": f"no {path}"})
        return await self._completion(writer, body)

    async def _completion(self, writer: asyncio.StreamWriter, body: bytes) -> bool:
        """Looks at the first frame alone: taking the whole of a request apart would cost more than the client's part, on the same cores."""
        loop, behaviour = asyncio.get_running_loop(), self.behaviour
        self.counts["requests"] += 1
        self.counts["first_s"] = self.counts["first_s"] or loop.time()
        drawn = self.chance.random()
        if drawn < behaviour.busy:
            return await self._reply(writer, 429, {"error": "slow down"}, "Retry-After: 0.05\r\n")
        self.in_flight += 1
        self.counts["most_in_flight"] = max(self.counts["most_in_flight"], self.in_flight)
        async with self.slots:
            started = loop.time()
            await asyncio.sleep(self.chance.uniform(0.5, 1.5) * behaviour.latency_s)
            self.counts["busy_s"] += loop.time() - started
            self.counts["last_s"] = loop.time()
        self.in_flight -= 1
        drawn -= behaviour.busy
        text = caption_of(_first_frame(body))
        if drawn < behaviour.fails or text in behaviour.poison:
            return await self._reply(writer, 500, {"error": "out of luck"})
        drawn -= behaviour.fails
        if drawn < behaviour.cuts:
            if drawn < behaviour.cuts / 2:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{")
            return False
        if drawn - behaviour.cuts < behaviour.garbles:
            return await self._reply(writer, 200, "<html>gateway</html>")
        if behaviour.refuses and text == behaviour.refuses:
            return await self._reply(writer, 400, {"error": "bad picture"})
        self.counts["answers"] += 1
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **behaviour.texts.get(text, {})}
        return await self._reply(writer, 200, {"choices": [choice], "usage": {"completion_tokens": len(text.split())}})

    async def _reply(self, writer: asyncio.StreamWriter, status: int, body: Any, more: str = "") -> bool:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n{more}\r\n".encode() + data)
        await writer.drain()
        return True


async def _main(behaviour: Behaviour) -> None:
    server = await asyncio.start_server(_Server(behaviour).serve, "127.0.0.1", 0, limit=2**24, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    fields = json.loads(sys.argv[1])
    asyncio.run(_main(Behaviour(**{**fields, "poison": tuple(fields["poison"])})))
