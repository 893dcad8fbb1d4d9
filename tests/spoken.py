"""Speech made on the spot, in many languages, by espeak-ng: the wheel `espeakng-loader` holds its library and voices."""

import ctypes
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

# A sentence in each language, long enough for a language to be told from it. By BCP-47: espeak's voice, and the text.
SENTENCES = {
    "en": ("en-us", "The weather is lovely today, so we are going to the park with all of our friends."),
    "fr": ("fr", "Il fait très beau aujourd'hui, alors nous allons au parc avec tous nos amis."),
    "de": ("de", "Das Wetter ist heute sehr schön, deshalb gehen wir mit unseren Freunden in den Park."),
    "es": ("es", "Hoy hace muy buen tiempo, así que vamos al parque con todos nuestros amigos."),
    "ru": ("ru", "Сегодня прекрасная погода, поэтому мы идём в парк вместе со всеми друзьями."),
    "zh": ("cmn", "今天天气很好，所以我们和所有的朋友一起去公园散步。"),
    "ar": ("ar", "الطقس جميل جدا اليوم، لذلك سنذهب إلى الحديقة مع جميع أصدقائنا."),
    "hi": ("hi", "आज मौसम बहुत अच्छा है, इसलिए हम अपने सभी दोस्तों के साथ पार्क जा रहे हैं।"),
    "ja": ("ja", "今日はとても天気がいいので、友達みんなと一緒に公園へ行きます。"),
    "tr": ("tr", "Bugün hava çok güzel, bu yüzden bütün arkadaşlarımızla birlikte parka gidiyoruz."),
}
RATE_HZ = 16_000


@functools.cache
def _espeak() -> Any:
    """The library, ready to speak; skips the test where it is not there."""
    try:
        import espeakng_loader
    except ImportError:
        pytest.skip("espeakng-loader is not installed: nothing here can speak (pip install 'internvid-pipeline[dev]')")
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = os.fsencode(espeakng_loader.get_data_path())
    rate = library.espeak_Initialize(2, 500, data, 0)  # 2: synchronous, samples to a callback
    if rate <= 0:
        pytest.skip(f"espeak-ng does not start here ({rate})")
    return library, rate


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@functools.cache
def spoken(language: str) -> NDArray[np.float32]:
    """The sentence of a language as float32 samples at 16 kHz, silence around it cut off."""
    library, rate = _espeak()
    voice, text = SENTENCES[language]
    heard: list[NDArray[np.int16]] = []

    def take(samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = _CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    assert library.espeak_SetVoiceByName(voice.encode()) == 0, f"espeak-ng has no voice {voice}"
    data = text.encode()
    library.espeak_Synth(data, len(data) + 1, 0, 0, 0, 1, None, None)  # 1: the text is UTF-8
    library.espeak_Synchronize()
    samples = np.concatenate(heard).astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1]]
    positions = np.arange(0, samples.shape[0] - 1, rate / RATE_HZ)
    return np.interp(positions, np.arange(samples.shape[0]), samples).astype(np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def rain(seconds: float) -> NDArray[np.float32]:
    """Noise that swells a little, as rain does."""
    noise = np.random.default_rng(3).normal(0, 0.08, round(seconds * RATE_HZ))
    return (noise * (1 + 0.3 * np.sin(np.arange(noise.size) / 4000))).astype(np.float32)


def music(seconds: float) -> NDArray[np.float32]:
    """Chords, a new one every half second."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    root_hz = np.asarray([220.0, 261.6, 196.0, 246.9])[(time_s * 2).astype(int) % 4]
    return (0.12 * sum(np.sin(2 * np.pi * root_hz * ratio * time_s) for ratio in (1.0, 1.25, 1.5, 2.0))).astype(np.float32)


def write_wav_video(path: Path, samples: NDArray[np.float32]) -> Path:
    """A video of a moving picture with this sound (AAC in mp4)."""
    from internvid_pipeline.media import synth_scenes as scenes
    from internvid_pipeline.media.synth import Shot, make_video
    from internvid_pipeline.media.synth_audio import Sound

    frames = int(samples.shape[0] / RATE_HZ * 10) + 1
    sound = Sound((np.clip(samples, -1, 1) * 32767).astype(np.int16), RATE_HZ, "made speech")
    make_video(path, [Shot(scenes.ball(hue=0.1), frames)], fps=10, size_px=(64, 48), audio=sound)
    return path
