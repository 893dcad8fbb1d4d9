"""Reading what is written in a picture with rapidocr (extra `ocr`), whose wheel carries its models: no download, CPU."""

import importlib.metadata
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models.base import RgbImage, TextBox

INSTALL_LINE = "pip install 'internvid-pipeline[ocr]'"
_MASK_SIDE_PX = 256  # shares of the area are exact to a thousandth


class RapidOcrReader:
    """A TextReader. One picture at a time: its three models (where, which way up, what) work on parts of different sizes."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        """Loads the models. Raises SetupError where the package is not installed, or in another version than the preset names."""
        self.name = preset.published_name
        self.commit = preset.published_commit
        try:
            from rapidocr import RapidOCR

            version = importlib.metadata.version("rapidocr")
        except ModuleNotFoundError as error:
            raise SetupError(f"model {preset.name!r} needs the package {error.name!r}, which is not installed: {INSTALL_LINE}") from error
        if version != preset.commit:
            raise SetupError(f"model {preset.name!r} is rapidocr {preset.commit}, whose wheel holds the models; installed is {version}")
        # Workers share a machine's cores: one thread each.
        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        self._engine: Any = RapidOCR(params={**threads, "Global.log_level": "error"})

    def boxes(self, image: RgbImage) -> list[TextBox]:
        """See `base.TextReader`."""
        found = self._engine(np.ascontiguousarray(image[:, :, ::-1]))  # it wants BGR
        if found is None or found.boxes is None or found.txts is None:
            return []
        return [
            TextBox(" ".join(str(text).split()), float(score), tuple((float(x), float(y)) for x, y in corners))
            for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        ]


def covered_ratio(boxes: Sequence[TextBox], width_px: int, height_px: int) -> float:
    """Share of a picture's area that the boxes cover; where two overlap, the area counts once."""
    if not boxes:
        return 0.0
    mask = Image.new("1", (_MASK_SIDE_PX, _MASK_SIDE_PX))
    draw = ImageDraw.Draw(mask)
    for box in boxes:
        draw.polygon([(x / width_px * _MASK_SIDE_PX, y / height_px * _MASK_SIDE_PX) for x, y in box.corners], fill=1)
    return float(np.asarray(mask).mean())
