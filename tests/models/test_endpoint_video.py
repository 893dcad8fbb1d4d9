"""The captioner behind an HTTP endpoint, against a server on loopback that misbehaves."""

import base64
import json
import socket
import threading
import time

import pytest

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import ModelError, SetupError, StorageError
from internvid_pipeline.models import Answer, VideoFrames, build_video_captioner, fault_of
from internvid_pipeline.models.endpoint_video import request_of
from internvid_pipeline.records import DropReason
from tests.models.chat_server import Behaviour, ChatServer, caption_of, endpoint_preset


def clips(count: int) -> list[VideoFrames]:
    """Clips whose frames' bytes name them; nobody decodes them here."""
    return [VideoFrames((b"first of %d" % i, b"second of %d" % i), (0.0, 0.5), 1.0, f"clip {i}") for i in range(count)]


def ask(preset: ModelPreset, videos: list[VideoFrames]) -> list[Answer]:
    captioner = build_video_captioner(preset)
    try:
        return captioner.answers([captioner.prepared(video, "describe") for video in videos])
    finally:
        captioner.close()


def test_every_clip_gets_its_own_answer_from_a_server_that_misbehaves():
    """Slow, out of order, 429, 500, cut connections, answers that are no JSON."""
    behaviour = Behaviour(latency_s=0.01, slots=16, busy=0.1, fails=0.05, cuts=0.06, garbles=0.03)
    videos = clips(300)
    with ChatServer(behaviour) as server:
        answers = ask(endpoint_preset(server.url, max_in_flight=16), videos)
        stats = server.stats()
    assert [answer.text for answer in answers] == [caption_of(video.jpegs[0]) for video in videos]
    assert all((answer.finish, answer.num_tokens, answer.error) == ("stop", 2, None) for answer in answers)
    assert stats["most_in_flight"] == 16 and stats["requests"] > 330, "the server was kept busy, and did misbehave"


def test_request_holds_frames_with_their_times_and_the_prompt():
    body = json.loads(request_of(endpoint_preset("http://127.0.0.1:9/v1"), VideoFrames((b"one", b"two"), (0.25, 1.75), 2.5), "describe"))
    content = body["messages"][0]["content"]
    texts = [part["text"] for part in content if part["type"] == "text"]
    assert texts == ["2 frames of a video of 2.5 seconds:", "<0.2 seconds>", "<1.8 seconds>", "describe"]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    assert [base64.b64decode(url.removeprefix("data:image/jpeg;base64,")) for url in urls] == [b"one", b"two"]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("served-model", 30, 0)


def test_what_is_asked_again_goes_before_what_was_asked_later():
    """Else the oldest clip, for which all wait, is the last to be answered, and the server has nothing to do meanwhile."""
    with ChatServer(Behaviour(latency_s=0.05, busy=0.3)) as server:
        captioner = build_video_captioner(endpoint_preset(server.url, max_in_flight=1))
        order: list[int] = []
        asked = [captioner.prepared(video, "describe") for video in clips(40)]
        for number, future in enumerate(asked):
            future.add_done_callback(lambda _, number=number: order.append(number))
        captioner.answers(asked)
        captioner.close()
        assert server.stats()["requests"] > 45, "some were asked again"
    assert max(abs(place - number) for place, number in enumerate(order)) <= 12


def test_request_that_alone_breaks_the_server_fails_alone():
    videos = clips(12)
    poison = caption_of(videos[11].jpegs[0])
    with ChatServer(Behaviour(poison=(poison,))) as server:
        answers = ask(endpoint_preset(server.url, attempts=3), videos)
    assert [answer.text for answer in answers[:11]] == [caption_of(video.jpegs[0]) for video in videos[:11]]
    assert isinstance(answers[11].error, ModelError) and answers[11].text == ""
    assert "failed 3 times on this request, and on no other: status 500" in str(answers[11].error)


def test_refused_request_fails_alone_and_at_once():
    videos = clips(5)
    with ChatServer(Behaviour(refuses=caption_of(videos[2].jpegs[0]))) as server:
        answers = ask(endpoint_preset(server.url), videos)
        assert server.stats()["requests"] == 5
    assert [bool(answer.error) for answer in answers] == [False, False, True, False, False]
    assert 'refuses the request, status 400: {"error": "bad picture"}' in str(answers[2].error)


def test_wrong_key_or_address_ends_the_stage(monkeypatch: pytest.MonkeyPatch):
    with ChatServer(Behaviour(key="right-key-of-the-test")) as server:
        with pytest.raises(SetupError, match="needs its key in the environment variable CHAT_TEST_KEY, which is not set"):
            ask(endpoint_preset(server.url, api_key_variable="CHAT_TEST_KEY"), clips(1))
        monkeypatch.setenv("CHAT_TEST_KEY", "wrong-key-of-the-test")
        with pytest.raises(SetupError, match="refuses all requests, status 401") as caught:
            ask(endpoint_preset(server.url, api_key_variable="CHAT_TEST_KEY"), clips(2))
        assert "wrong-key" not in str(caught.value)
        monkeypatch.setenv("CHAT_TEST_KEY", "right-key-of-the-test")
        assert len(ask(endpoint_preset(server.url, api_key_variable="CHAT_TEST_KEY"), clips(2))) == 2
        with pytest.raises(SetupError, match="refuses all requests, status 404"):
            ask(endpoint_preset(server.url + "/elsewhere", api_key_variable="CHAT_TEST_KEY"), clips(1))


def test_server_that_is_not_there_is_no_clips_fault():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(StorageError, match=r"has given no answer for \d+ s: ConnectionRefusedError"):
            ask(endpoint_preset(url, patience_s=0.3), clips(3))


def test_server_that_comes_back_is_waited_for():
    server = ChatServer()
    url = server.url
    server.stop()
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.extend(ask(endpoint_preset(url, patience_s=60.0), clips(2))))
    asking.start()
    time.sleep(0.5)
    port = int(url.rsplit(":", 1)[1].removesuffix("/v1"))
    listener = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=_answer_twice, args=(listener,), daemon=True).start()
    asking.join(timeout=60)
    assert [answer.text for answer in answers] == ["late", "late"]


def _answer_twice(listener: socket.socket) -> None:
    """One answer per connection, which is then closed."""
    reply = json.dumps({"choices": [{"message": {"content": "late"}}]}).encode()
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            data = b""
            while b"\r\n\r\n" not in data or not data.endswith(b"}"):
                data += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(reply) + reply)


def test_refusals_and_cut_texts_of_the_server_are_named():
    videos = clips(4)
    names = [caption_of(video.jpegs[0]) for video in videos]
    texts = {
        names[0]: {"finish_reason": "content_filter", "message": {"content": None}},
        names[1]: {"finish_reason": "length"},
        names[2]: {"message": {"content": None, "refusal": "I can't help with that."}},
        names[3]: {"message": {"content": [{"type": "text", "text": "a dog"}, {"type": "text", "text": " runs"}]}},
    }
    with ChatServer(Behaviour(texts=texts)) as server:
        answers = ask(endpoint_preset(server.url), videos)
    faults = [fault_of(answer) for answer in answers]
    assert [fault and fault[0] for fault in faults] == [
        DropReason.REFUSED_CAPTION,
        DropReason.TRUNCATED_CAPTION,
        DropReason.REFUSED_CAPTION,
        None,
    ]
    assert answers[3].text == "a dog runs"


def test_requests_per_second_are_bounded():
    with ChatServer() as server:
        preset = endpoint_preset(server.url, requests_per_s=50.0)
        started = time.monotonic()
        assert len(ask(preset, clips(20))) == 20
    assert time.monotonic() - started >= 19 / 50
