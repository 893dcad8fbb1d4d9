"""Video language models in process, through transformers: Qwen2.5-VL, Qwen3-VL, InternVL (transformers' own class), SmolVLM2.

Each family's own processor turns frames and their times into tokens; on a GPU it scales the pictures there, so that the CPU has only the
decoding of JPEGs to do, which runs ahead in threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import Answer, VideoFrames
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.models.frames import decode_jpeg
from internvid_pipeline.models.pretrained import answer_of, greedy, load_pretrained, stop_tokens

_TICKS_PER_S = 1000  # times are told to a processor as numbers of frames of a video with so many a second
_NESTED = "smolvlm"  # its processor wants a list of videos per text, the others one flat list


@dataclass(frozen=True)
class _Prepared:
    """frames: (n, 3, height, width), uint8. text: the conversation up to the model's turn."""

    frames: npt.NDArray[np.uint8]
    metadata: dict[str, Any]
    text: str


class TransformersVideoCaptioner:
    """A VideoCaptioner. Greedy decoding. Batches hold clips with equally many frames, at most `batch_size` and `batch_pixels`."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        loaded = load_pretrained(preset, "AutoModelForImageTextToText")
        self._torch, self._device, self._dtype, self._model = loaded.torch, loaded.device, loaded.dtype, loaded.model
        self._processor = loaded.processor
        self._processor.tokenizer.padding_side = "left"  # a decoder goes on at the right end
        pictures = self._processor.video_processor
        if hasattr(pictures, "cap_pixels_per_frame"):  # Qwen's own code does; transformers will from 5.22 on: results must not change then
            pictures.cap_pixels_per_frame = True
        self._stops = stop_tokens(self._model)
        self._sizer = BatchSizer(preset.batch_size, preset.batch_pixels)

    def prepared(self, video: VideoFrames, prompt: str) -> _Prepared:
        """See `base.VideoCaptioner`."""
        frames, metadata = decoded(video)
        return _Prepared(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)), metadata, asked(self._processor, prompt))

    def answers(self, prepared: Sequence[_Prepared]) -> list[Answer]:
        """See `base.VideoCaptioner`."""
        answers: dict[int, Answer] = {}
        for num_frames in sorted({len(one.frames) for one in prepared}):  # some processors stack the videos of a batch
            alike = [i for i, one in enumerate(prepared) if len(one.frames) == num_frames]
            costs = [float(prepared[i].frames[:, 0].size) for i in alike]
            found = in_batches(self._sizer, costs, lambda chosen, alike=alike: self._batch([prepared[alike[i]] for i in chosen]))  # type: ignore[misc]
            answers.update(zip(alike, found, strict=True))
        return [answers[i] for i in range(len(prepared))]

    def close(self) -> None:
        """See `base.VideoCaptioner`."""

    def _batch(self, batch: Sequence[_Prepared]) -> list[Answer]:
        videos: list[Any] = [self._torch.from_numpy(one.frames).to(self._device) for one in batch]
        metadata: list[Any] = [one.metadata for one in batch]
        if self._model.config.model_type == _NESTED:
            videos, metadata = [[video] for video in videos], [[one] for one in metadata]
        inputs = self._processor(
            text=[one.text for one in batch],
            videos=videos,
            video_metadata=metadata,
            do_sample_frames=False,
            padding=True,
            return_tensors="pt",
            device=self._device,
        ).to(self._device)
        for name, value in inputs.items():
            if self._torch.is_tensor(value) and value.is_floating_point():
                inputs[name] = value.to(self._dtype)
        with self._torch.inference_mode():
            tokens = self._model.generate(**inputs, **greedy(self._preset.max_new_tokens))
        fresh = tokens[:, inputs["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(fresh, skip_special_tokens=True)
        most = self._preset.max_new_tokens
        return [answer_of(text, row, self._stops, most) for text, row in zip(texts, fresh.tolist(), strict=True)]


def asked(processor: Any, prompt: str) -> str:
    """The conversation up to the model's turn, in the model's own chat form: a video and the prompt."""
    content = [{"type": "video"}, {"type": "text", "text": prompt}]
    return str(processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False))


def decoded(video: VideoFrames) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """(n, height, width, 3) uint8, and times in the form that transformers' and vLLM's video processors take: as numbers of frames of a
    video with a thousand a second, so that unevenly spread frames keep their exact times. A single frame is shown twice: Qwen3-VL refuses
    a video of one. Raises ItemError for a broken frame."""
    if len(video.jpegs) == 1:
        video = replace(video, jpegs=video.jpegs * 2, times_s=video.times_s * 2)
    images = [decode_jpeg(data, f"frame {i} of {video.what}") for i, data in enumerate(video.jpegs)]
    return np.stack(images), _metadata(video)


def _metadata(video: VideoFrames) -> dict[str, Any]:
    ticks = [round(time_s * _TICKS_PER_S) for time_s in video.times_s]
    total = max(round(video.duration_s * _TICKS_PER_S), ticks[-1] + 1)
    return {
        "total_num_frames": total,
        "fps": float(_TICKS_PER_S),
        "duration": total / _TICKS_PER_S,
        "frames_indices": ticks,
    }
