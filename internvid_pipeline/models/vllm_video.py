"""Video language models in process through vLLM (extra `vllm`), which fills the GPU by itself: it is given all clips of a call at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models.base import Answer, Finish, VideoFrames
from internvid_pipeline.models.frames import decode_jpeg
from internvid_pipeline.models.transformers_video import video_metadata
from internvid_pipeline.models.weights import loading, weights_folder

INSTALL_LINE = "pip install 'internvid-pipeline[vllm]'"


class VllmVideoCaptioner:
    """A VideoCaptioner. Greedy decoding; the chat form is the model's own. `batch_size` bounds the clips that vLLM works on at once."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the weights. Raises SetupError where a package or the weights are missing or do not fit."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        folder = weights_folder(preset)
        try:
            from transformers import AutoProcessor
            from vllm import LLM, SamplingParams
        except ModuleNotFoundError as error:
            raise SetupError(f"model {preset.name!r} needs the package {error.name!r}, which is not installed: {INSTALL_LINE}") from error
        with loading(preset, folder):
            self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
            self._engine: Any = LLM(
                model=str(folder),
                dtype=preset.dtype,
                tensor_parallel_size=max(1, int(preset.gpus)),
                max_num_seqs=preset.batch_size,
                limit_mm_per_prompt={"video": 1},
                gpu_memory_utilization=min(0.9, preset.gpus) if 0 < preset.gpus < 1 else 0.9,
            )
        self._sampling: Any = SamplingParams(temperature=0.0, max_tokens=preset.max_new_tokens)

    def prepared(self, video: VideoFrames, prompt: str) -> dict[str, Any]:
        """See `base.VideoCaptioner`."""
        images = [decode_jpeg(data, f"frame {i} of {video.what}") for i, data in enumerate(video.jpegs)]
        content = [{"type": "video"}, {"type": "text", "text": prompt}]
        text = self._processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
        metadata = {**video_metadata(video), "do_sample_frames": False}
        return {"prompt": text, "multi_modal_data": {"video": [(np.stack(images), metadata)]}}

    def answers(self, prepared: Sequence[dict[str, Any]]) -> list[Answer]:
        """See `base.VideoCaptioner`. vLLM gives its results in the order of its inputs."""
        return [_answer(result.outputs[0]) for result in self._engine.generate(list(prepared), self._sampling, use_tqdm=False)]

    def close(self) -> None:
        """See `base.VideoCaptioner`."""
        self._engine = None


def _answer(output: Any) -> Answer:
    finish: Finish = "length" if output.finish_reason == "length" else "stop"
    return Answer(" ".join(output.text.split()), finish, len(output.token_ids))
