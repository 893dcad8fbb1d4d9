"""One linear layer over embeddings, such as LAION's aesthetic predictor over CLIP ViT-L/14 (github.com/LAION-AI/aesthetic-predictor), which
scores InternVid's clips (arXiv:2307.06942, section 3.3)."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import ModelError, SetupError
from internvid_pipeline.models.base import Embeddings
from internvid_pipeline.models.torch_setup import import_torch
from internvid_pipeline.models.weights import loading, weights_file


class LinearHead:
    """An EmbeddingRater: weight · embedding + bias. 768 products per picture need no GPU."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Reads a .safetensors file, or a .pth one without running code of it. Raises SetupError where it is missing or holds no head."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        self.base_model = preset.base_model
        file = weights_file(preset)
        with loading(preset, file):
            self._weight, self._bias = _head(_tensors(preset, file))

    def ratings(self, embeddings: Embeddings) -> npt.NDArray[np.float32]:
        """See `base.EmbeddingRater`."""
        if embeddings.shape[1] != len(self._weight):
            raise ModelError(f"model {self.name!r} rates embeddings of {len(self._weight)} numbers, these have {embeddings.shape[1]}")
        return np.asarray(embeddings @ self._weight + self._bias, dtype=np.float32)


def _tensors(preset: ModelPreset, file: Path) -> dict[str, npt.NDArray[np.float32]]:
    torch = import_torch(preset)
    loaded: Any
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        loaded = load_file(file)
    else:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    return {str(name): np.asarray(tensor.float().numpy(), dtype=np.float32) for name, tensor in loaded.items()}


def _head(tensors: dict[str, npt.NDArray[np.float32]]) -> tuple[npt.NDArray[np.float32], float]:
    """The weight (d,) and the bias of a layer with one output."""
    weights = [tensor for tensor in tensors.values() if tensor.ndim == 2 and tensor.shape[0] == 1]
    biases = [tensor for tensor in tensors.values() if tensor.shape == (1,)]
    if len(weights) != 1 or len(biases) != 1 or len(tensors) != 2:
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        raise SetupError(f"a linear head has one weight of shape (1, d) and one bias of shape (1,); the file holds {shapes}")
    return weights[0][0], float(biases[0][0])
