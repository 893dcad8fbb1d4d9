"""Estimates against sums done by hand; rates out of files and out of manifests; machines files."""

import dataclasses
from pathlib import Path

import pytest

from internvid_pipeline.cluster.estimate import EFFICIENCY, estimate
from internvid_pipeline.cluster.given_rates import load_rates, with_given
from internvid_pipeline.cluster.machines import ClusterDescription, MachineKind, StoragePrices, load_cluster
from internvid_pipeline.config import config_from, load_config
from internvid_pipeline.engine import StatusReader, build_plan, run_dataset
from internvid_pipeline.engine.rates import Rates, StageRate, measured_rates, points_at_media
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import CaptionRecord, ClipRecord, VideoRecord
from internvid_pipeline.storage import Root
from tests.conftest import toy_config

NOTHING = Rates(stages=(), hours_per_video=None, videos_per_partition=None, missing=())


def rate(stage: str, worker_s: float, cpus: float = 1, gpus: float = 0, **more) -> StageRate:
    values = {"items": 300, "size_bytes": 1e8, "files_per_partition": 2, "reads_per_partition": 3, "reads_per_item": 1} | more
    fixed = {"needs_reduce": False, "max_workers": None, "basis": "measured", "source": "test"}
    return StageRate(stage=stage, worker_s=worker_s, cpus=cpus, gpus=gpus, **(fixed | values))


def cluster(**prices) -> ClusterDescription:
    return ClusterDescription(
        machines={
            "cpu": MachineKind(count=4, cpus=10, price_per_hour=prices.get("cpu")),
            "gpu": MachineKind(count=2, cpus=10, gpus=1, price_per_hour=prices.get("gpu")),
        },
        storage=StoragePrices(per_gb_month=0.02, per_1000_writes=0.005, per_1000_reads=0.0004, per_1000_lists=0.005)
        if prices
        else StoragePrices(),
        currency="EUR" if prices else "",
    )


RATES = Rates(
    stages=(rate("cut", 360), rate("caption", 720, cpus=2, gpus=1)), hours_per_video=0.1, videos_per_partition=32, missing=("shards",)
)


def test_sums_by_hand():
    found = estimate(RATES, cluster(cpu=1.0, gpu=3.0), videos=320_000)  # 32,000 h, 10,000 partitions
    cut, caption = found.stages
    assert (found.video_hours, found.partitions) == (32_000, 10_000)
    assert (cut.cpu_hours, cut.gpu_hours, cut.items) == (3200, 0, 9.6e6)
    assert (caption.worker_hours, caption.cpu_hours, caption.gpu_hours) == (6400, 12_800, 6400)
    assert (cut.workers, caption.workers) == (60, 2)
    assert (found.bottleneck, found.why) == ("caption", "it holds most of 2 GPUs")
    assert found.wall_hours == pytest.approx(3200 / EFFICIENCY)
    assert found.size_bytes == 2 * 3.2e12
    assert found.objects == 10_000 * (1 + 2 * 3)
    assert cut.reads == 3 * 10_000 + 9.6e6
    assert found.money.machines == pytest.approx((4 * 1 + 2 * 3) * found.wall_hours)
    assert found.money.storage_per_month == pytest.approx(6400 * 0.02)
    assert found.money.requests == pytest.approx((found.writes * 5e-6) + found.reads * 4e-7 + found.lists * 5e-6)
    assert "no rate of shards: it is left out of every sum" in found.assumptions


def test_the_bottleneck_may_be_cpus_or_a_pool_that_may_not_grow():
    slow = dataclasses.replace(RATES, stages=(rate("cut", 36_000), rate("caption", 72, cpus=2, gpus=1)))
    assert (estimate(slow, cluster(), 3200).bottleneck, estimate(slow, cluster(), 3200).why) == ("cut", "it holds most of 60 CPUs")
    bound = dataclasses.replace(RATES, stages=(rate("cut", 360, max_workers=1), rate("caption", 72, cpus=2, gpus=1)))
    assert "no more than 1 workers" in estimate(bound, cluster(), 3200).why


def test_a_barrier_adds_up_and_side_by_side_does_not():
    side = estimate(dataclasses.replace(RATES, stages=(rate("a", 600), rate("b", 600))), cluster(), 3200).wall_hours
    barrier = dataclasses.replace(RATES, stages=(rate("a", 600), rate("b", 600, needs_reduce=True)))
    assert estimate(barrier, cluster(), 3200).wall_hours == pytest.approx(side)  # on shared CPUs both take the same
    gpus = (rate("a", 600), rate("b", 20, gpus=1))
    behind = dataclasses.replace(RATES, stages=(gpus[0], dataclasses.replace(gpus[1], needs_reduce=True)))
    together = dataclasses.replace(RATES, stages=gpus)
    assert estimate(behind, cluster(), 3200).wall_hours > 1.3 * estimate(together, cluster(), 3200).wall_hours


def test_without_prices_there_is_no_money_and_what_is_missing_is_said():
    money = estimate(RATES, cluster(), 3200).money
    assert (money.machines, money.requests, money.storage_per_month) == (None, None, None)
    with pytest.raises(UsageError, match="run a sample of the videos first"):
        estimate(NOTHING, cluster(), 10)
    with pytest.raises(UsageError, match="--hours-per-video"):
        estimate(dataclasses.replace(RATES, hours_per_video=None), cluster(), 10)
    with pytest.raises(UsageError, match="a worker of 2 CPUs and 4 GPUs fits on none"):
        estimate(dataclasses.replace(RATES, stages=(rate("x", 1, cpus=2, gpus=4),)), cluster(), 10)


def test_share_of_a_machine():
    priced = cluster(cpu=1.0, gpu=3.0)
    assert priced.share_price(5, 0) == pytest.approx(0.5)
    assert priced.share_price(1, 1) == pytest.approx(3.0), "who holds the GPU holds the machine"
    assert priced.share_price(1, 2) is None and cluster().share_price(1, 0) is None


def test_shipped_files_are_sound_and_carry_no_price_by_default():
    assert load_cluster(None).price_per_hour is None
    example = load_cluster("machines-example")
    assert example.price_per_hour and "example" in example.prices_from and "2026" in example.prices_from
    plans = build_plan(load_config("internvid"), 0)
    found = with_given(plans, NOTHING, load_rates("rates-internvid"))
    assert found.stages and {one.basis for one in found.stages} == {"assumed"}
    result = estimate(found, example, 7_100_000)
    assert result.video_hours == pytest.approx(760_300, rel=0.01) and result.bottleneck == "caption_clips"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("machines: {a: {count: 1}}", "machines.a.cpus is missing"),
        ("machines: {}", "machines"),
        ("machines: {a: {count: 1, cpus: 1, price: 3}}", "unknown key 'machines.a.price'"),
        ("[", "not YAML"),
    ],
)
def test_wrong_machines_files_are_one_line(tmp_path: Path, text: str, words: str):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_cluster(str(tmp_path / "m.yaml"))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_file_names_those_that_there_are():
    with pytest.raises(UsageError, match="machines, machines-example"):
        load_cluster("nowhere")


def test_rates_of_a_file_take_the_place_of_measured_ones(tmp_path: Path):
    (tmp_path / "r.yaml").write_text(
        "stages:\n"
        "  toy_squares: {worker_s: 6, basis: assumed, source: guess}\n"
        "  toy_totals: {worker_s: 5, gpus: 1, basis: measured, source: bench}\n"
    )
    names = ("Numbers", "Squares", "Totals")
    plans = build_plan(config_from({"stages": {f"tests.toy_stages:{name}": {} for name in names}}), 0)
    measured = dataclasses.replace(NOTHING, stages=(rate("toy_numbers", 2), rate("toy_squares", 1)), hours_per_video=0.5)
    found = with_given(plans, measured, load_rates(str(tmp_path / "r.yaml")))
    assert [(one.stage, one.worker_s, one.cpus, one.gpus, one.basis, one.needs_reduce) for one in found.stages] == [
        ("toy_numbers", 2, 1, 0, "measured", False),
        ("toy_squares", 6, 0.5, 0, "assumed", False),
        ("toy_totals", 5, 0.25, 1, "given", True),
    ]
    assert found.missing == () and found.hours_per_video == 0.5
    assert with_given(plans, NOTHING, load_rates(str(tmp_path / "r.yaml"))).missing == ("toy_numbers",)
    other = build_plan(config_from({"stages": {"tests.toy_stages:Numbers": {}}}), 0)
    (tmp_path / "r.yaml").write_text("stages:\n  toy_squares: {worker_s: 6, basis: assumed, source: guess}\n")
    with pytest.raises(UsageError, match="the stages of this config are toy_numbers"):
        with_given(other, NOTHING, load_rates(str(tmp_path / "r.yaml")))


def test_measured_rates_are_per_hour_of_source_video(tmp_path: Path, numbers_folder: Path):
    """Toy stages tell no durations; the sums are given them here as a stage over videos would have."""
    config = toy_config(tmp_path / "set", numbers_folder, placement={"isolate": False})
    run_dataset(config, engine="inline")
    plans = build_plan(config, 4)
    statuses = StatusReader(Root(config.root), plans, range(4)).read()
    assert measured_rates(plans, statuses).missing == ("toy_numbers", "toy_squares")
    first, second = statuses
    first.video_s, first.wall_s, first.cpu_s = 7200.0, 100.0, 50.0
    second.video_s, second.wall_s, second.cpu_s, second.gpu_s = 3600.0, 300.0, 600.0, 300.0  # a filter left half
    found = measured_rates(plans, statuses)
    assert (found.hours_per_video, found.videos_per_partition) == (pytest.approx(2 / 20), 5)
    one, two = found.stages
    assert (one.worker_s, one.cpus, one.items) == (50, 0.5, 10)
    assert (two.worker_s, two.cpus, two.gpus) == (150, 2, 1)
    assert one.source == "4 partitions, 2 h of video"


def test_which_records_point_at_media():
    assert points_at_media(ClipRecord) and points_at_media(VideoRecord) and not points_at_media(CaptionRecord)
