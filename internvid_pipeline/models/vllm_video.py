"""Video language models in process through vLLM (extra `vllm`), which fills the GPU by itself: it is given all clips of a call at once.

Every call below was read beside the source of vLLM 0.32.0 (entrypoints/llm.py, engine/arg_utils.py, multimodal/parse.py, and how
qwen2_5_vl.py and qwen3_vl.py hand frames and metadata on: times reach the model, nothing is sampled again). It ran on a CPU with tiny
weights (benchmarks/README.md, vLLM in process), not on a GPU yet.
"""

from collections.abc import Sequence
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models.base import Answer, Finish, VideoFrames
from internvid_pipeline.models.transformers_video import asked, decoded
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
                max_model_len=-1,  # as long as the memory allows: a model's own bound (256,000 tokens for Qwen3-VL) may not fit
                limit_mm_per_prompt={"video": 1, "image": 0},
                gpu_memory_utilization=min(0.9, preset.gpus) if 0 < preset.gpus < 1 else 0.9,
            )
        self._sampling: Any = SamplingParams(temperature=0.0, max_tokens=preset.max_new_tokens)

    def prepared(self, video: VideoFrames, prompt: str) -> dict[str, Any]:
        """See `base.VideoCaptioner`."""
        frames, metadata = decoded(video)
        video_data = [(frames, {**metadata, "do_sample_frames": False})]
        return {"prompt": asked(self._processor, prompt), "multi_modal_data": {"video": video_data}}

    def answers(self, prepared: Sequence[dict[str, Any]]) -> list[Answer]:
        """See `base.VideoCaptioner`. vLLM gives its results in the order of its inputs."""
        if not prepared:
            return []
        return [_answer(result.outputs[0]) for result in self._engine.generate(list(prepared), self._sampling, use_tqdm=False)]

    def close(self) -> None:
        """See `base.VideoCaptioner`."""
        self._engine = None


def _answer(output: Any) -> Answer:
    finish: Finish = "length" if output.finish_reason == "length" else "stop"
    return Answer(" ".join(output.text.split()), finish, len(output.token_ids) - (finish == "stop"))  # without the one that ends it
