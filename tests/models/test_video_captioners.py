"""Video captioners against the library's own call on the same weights and frames, one clip at a time."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import DamagedMedia, ModelError
from internvid_pipeline.models import VideoFrames, build_video_captioner
from internvid_pipeline.models.tiny_video import VLM_FAMILIES, save_vlm
from internvid_pipeline.models.torch_setup import import_torch
from tests.models.pictures import jpeg, noise

PROMPT = "describe the video in one sentence"
SHAPES = ((8, 64, 48), (8, 96, 64), (4, 64, 48), (8, 48, 64), (5, 64, 64), (1, 64, 48), (8, 64, 48))


def video(seed: int, num_frames: int, width: int, height: int) -> VideoFrames:
    """Frames of noise at uneven times."""
    times = tuple(round(0.31 * i + 0.05 * (i % 3), 3) for i in range(num_frames))
    return VideoFrames(tuple(jpeg(noise(100 * seed + i, width, height)) for i in range(num_frames)), times, times[-1] + 0.4, f"clip {seed}")


VIDEOS = [video(i, *shape) for i, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module", params=VLM_FAMILIES)
def preset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelPreset:
    return save_vlm(tmp_path_factory.mktemp(request.param), request.param)


def reference(preset: ModelPreset, clip: VideoFrames) -> tuple[str, int]:
    """transformers' own processor and generate. Returns the text and the number of tokens before the end."""
    torch = import_torch(preset)
    import transformers

    processor: Any = transformers.AutoProcessor.from_pretrained(preset.repository)
    model: Any = transformers.AutoModelForImageTextToText.from_pretrained(preset.repository, dtype=torch.float32).eval()
    if hasattr(processor.video_processor, "cap_pixels_per_frame"):
        processor.video_processor.cap_pixels_per_frame = True
    twice = 2 if len(clip.jpegs) == 1 else 1
    frames = torch.stack([torch.from_numpy(np.array(Image.open(io.BytesIO(data)))).permute(2, 0, 1) for data in clip.jpegs * twice])
    ticks = [round(time_s * 1000) for time_s in clip.times_s * twice]
    total = round(clip.duration_s * 1000)
    metadata = {"total_num_frames": total, "fps": 1000.0, "duration": total / 1000, "frames_indices": ticks}
    nested = model.config.model_type == "smolvlm"
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": PROMPT}]}
    inputs = processor(
        text=[processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)],
        videos=[[frames]] if nested else [frames],
        video_metadata=[[metadata]] if nested else [metadata],
        do_sample_frames=False,
        return_tensors="pt",
    )
    tokens = model.generate(**inputs, max_new_tokens=preset.max_new_tokens, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    ends = [i for i, token in enumerate(tokens.tolist()) if token == processor.tokenizer.eos_token_id]
    return " ".join(processor.decode(tokens, skip_special_tokens=True).split()), ends[0] if ends else len(tokens)


def test_texts_equal_the_library_one_by_one_and_in_mixed_batches(preset: ModelPreset):
    expected = [reference(preset, clip) for clip in VIDEOS]
    assert len({text for text, _ in expected}) > 4, "a model that says the same of all clips proves nothing"
    for batch_size in (1, 4):
        captioner = build_video_captioner(preset.model_copy(update={"batch_size": batch_size}))
        prepared = [captioner.prepared(clip, PROMPT) for clip in VIDEOS]
        answers = captioner.answers(prepared)
        assert [(answer.text, answer.num_tokens) for answer in answers] == expected
        assert captioner.answers(prepared[::-1]) == answers[::-1]
        assert all(answer.finish == ("stop" if answer.num_tokens < preset.max_new_tokens else "length") for answer in answers)
    assert captioner.answers([]) == []
    assert (captioner.name, captioner.commit, captioner.is_stand_in) == (preset.name, "local", False)


@pytest.mark.parametrize("preset", ["qwen2_5_vl"], indirect=True)
def test_out_of_memory_halves_the_batch_and_goes_on(preset: ModelPreset):
    captioner: Any = build_video_captioner(preset)
    torch = captioner._torch
    videos = [video(50 + i, 4, 64, 48) for i in range(5)]
    prepared = [captioner.prepared(clip, PROMPT) for clip in videos]
    expected = captioner.answers(prepared)
    sizes: list[int] = []
    generate = captioner._model.generate

    def limited(most: int) -> Any:
        def run(**inputs: Any) -> Any:
            sizes.append(len(inputs["input_ids"]))
            if sizes[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            return generate(**inputs)

        return run

    captioner._model.generate = limited(1)
    assert captioner.answers(prepared) == expected
    assert sizes == [4, 2, 1, 1, 1, 1, 1]
    assert captioner.answers(prepared) == expected and sizes[7:] == [1] * 5, "the smaller batch is remembered"
    captioner._model.generate = limited(0)
    with pytest.raises(ModelError, match="a single input does not fit into the device's memory"):
        captioner.answers(prepared[:1])


@pytest.mark.parametrize("preset", ["internvl"], indirect=True)
def test_broken_frame_is_named(preset: ModelPreset):
    captioner = build_video_captioner(preset)
    with pytest.raises(DamagedMedia, match="frame 1 of clip 7 is no readable picture"):
        captioner.prepared(VideoFrames((jpeg(noise(1)), b"no jpeg"), (0.0, 1.0), 2.0, "clip 7"), PROMPT)


def test_missing_vllm_is_one_line(tmp_path: Path):
    import importlib.util

    from internvid_pipeline.errors import SetupError

    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vllm is installed")
    preset = save_vlm(tmp_path / "m", "qwen2_5_vl", adapter="vllm")
    with pytest.raises(SetupError, match=r"needs the package 'vllm', which is not installed: pip install 'internvid-pipeline\[vllm\]'"):
        build_video_captioner(preset)
