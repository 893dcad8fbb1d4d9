"""The simulation against what can be reckoned by hand, and what must hold whatever goes in."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.cluster.machines import ClusterDescription, MachineKind
from internvid_pipeline.cluster.plot import draw_plot, save_plot
from internvid_pipeline.cluster.simulate import partition_hours, pool_sizes, run_pool, simulate, summed_up
from internvid_pipeline.engine.rates import Rates, StageRate
from internvid_pipeline.errors import UsageError


def rate(stage: str, worker_s: float, cpus: float = 1, gpus: float = 0, **more) -> StageRate:
    values = {"items": 1, "size_bytes": 0, "files_per_partition": 1, "reads_per_partition": 3, "reads_per_item": 0} | more
    fixed = {"needs_reduce": False, "max_workers": None, "basis": "assumed", "source": "test"}
    return StageRate(stage=stage, worker_s=worker_s, cpus=cpus, gpus=gpus, **(fixed | values))


def rates(*stages: StageRate, hours_per_video: float = 0.1, per_partition: float = 10) -> Rates:
    return Rates(stages=stages, hours_per_video=hours_per_video, videos_per_partition=per_partition, missing=())


def cluster(cpus: float, gpus: float = 0, count: int = 1) -> ClusterDescription:
    return ClusterDescription(machines={"m": MachineKind(count=count, cpus=cpus, gpus=gpus)})


def chain(seconds: list[list[float]], workers: list[int]):
    """Pools one behind the other: their runs."""
    arrived = np.zeros(len(seconds[0]))
    runs = []
    for own, size in zip(seconds, workers, strict=True):
        runs.append(run_pool(arrived, np.array(own, dtype=float), size))
        arrived = runs[-1].ended
    return runs


def test_one_worker_takes_the_sum():
    run = run_pool(np.zeros(4), np.array([3.0, 1.0, 4.0, 1.0]), 1)
    assert run.ended.tolist() == [3, 4, 8, 9]
    assert run.started.tolist() == [0, 3, 4, 8]


def test_workers_share_equal_work():
    assert run_pool(np.zeros(12), np.full(12, 5.0), 4).ended.max() == 15


def test_first_come_first_served_whatever_the_order_in_the_array():
    run = run_pool(np.array([10.0, 0.0, 5.0]), np.full(3, 100.0), 1)
    assert run.started.tolist() == [200, 0, 100]


def test_a_balanced_pipeline_takes_partitions_and_stages_less_one():
    partitions, stages, seconds = 50, 4, 7.0
    runs = chain([[seconds] * partitions] * stages, [1] * stages)
    assert runs[-1].ended.max() == pytest.approx((partitions + stages - 1) * seconds)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_partition_passes_every_stage_once_and_in_order(data):
    partitions, stages = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 4))
    times = st.lists(st.floats(0, 50), min_size=partitions, max_size=partitions)
    workers = [data.draw(st.integers(1, 5)) for _ in range(stages)]
    seconds = [data.draw(times) for _ in range(stages)]
    runs = chain(seconds, workers)
    for run, own, size in zip(runs, seconds, workers, strict=True):
        assert len(run.ended) == partitions and np.isfinite(run.ended).all()
        assert (run.started >= run.arrived).all() and np.allclose(run.ended - run.started, own)
        edges = sorted([(time, 1) for time in run.started] + [(time, -1) for time in run.ended], key=lambda edge: (edge[0], edge[1]))
        if all(own):
            assert max(np.cumsum([change for _, change in edges])) <= size, "never more at work than there are workers"
    for before, after in itertools.pairwise(runs):
        assert (after.arrived == before.ended).all()
    found = summed_up([rate(f"s{n}", 1) for n in range(stages)], workers, runs, cluster(16), partitions)
    assert found.manifests == found.units == partitions * stages
    assert found.objects == partitions * (2 * stages + 1)
    assert all(0 <= flow.longest_queue < partitions and flow.busy <= 1 + 1e-9 for flow in found.stages)
    assert all(curve[1][-1] == partitions for name, curve in found.curves.items() if name != "hours")


def test_the_bottleneck_is_the_slow_stage_and_its_queue_grows():
    stages = rates(rate("fast", 10, max_workers=4), rate("slow", 100, max_workers=4), rate("after", 10, max_workers=4))
    found = simulate(stages, cluster(16), 4000)
    assert found.bottleneck == "slow"
    fast, slow, after = found.stages
    assert slow.busy > 0.99 and slow.longest_queue > 10 * max(1, after.longest_queue)
    assert found.wall_h == pytest.approx(4000 * 0.1 * 100 / 4 / 3600, rel=0.1)
    assert [flow.workers for flow in (fast, slow, after)] == [4, 4, 4]


def test_pools_are_sized_by_their_work_and_fit():
    stages = [rate("a", 100), rate("b", 300), rate("c", 50, cpus=2, gpus=0.5), rate("d", 100, cpus=2, gpus=1)]
    sizes = pool_sizes(stages, cluster(32, 8), 10_000)
    assert sum(size * stage.cpus for size, stage in zip(sizes, stages, strict=True)) <= 32
    assert sum(size * stage.gpus for size, stage in zip(sizes, stages, strict=True)) <= 8
    loads = [stage.worker_s / size for size, stage in zip(sizes, stages, strict=True)]
    assert max(loads) < 2 * min(loads), (sizes, loads)
    assert pool_sizes([replace(stages[0], max_workers=3)], cluster(32), 10_000) == [3]


def test_a_stage_that_looks_at_all_partitions_waits_for_the_last():
    stages = rates(rate("a", 30), rate("all", 1, needs_reduce=True))
    found = simulate(stages, cluster(8), 3000)
    assert found.stages[1].start_h >= found.stages[0].end_h
    assert found.bottleneck == "a" and found.tail_h == found.stages[0].tail_h


def test_gpus_are_idle_while_a_cpu_stage_holds_them_up():
    idle = simulate(rates(rate("cpu", 100), rate("gpu", 10, gpus=1)), cluster(4, 4), 2000).gpu_idle
    busy = simulate(rates(rate("cpu", 10), rate("gpu", 100, gpus=1)), cluster(8, 4), 2000).gpu_idle
    assert idle is not None and busy is not None and idle > 0.8 and busy < 0.1
    assert simulate(rates(rate("cpu", 1)), cluster(4), 100).gpu_idle is None


def test_the_same_seed_gives_the_same_run_and_hours_are_conserved():
    stages = rates(rate("a", 30), rate("b", 10))
    assert simulate(stages, cluster(4), 500, seed=3).to_dict() == simulate(stages, cluster(4), 500, seed=3).to_dict()
    hours = partition_hours(320_001, 32, 0.1, seed=0)
    assert len(hours) == 10_001 and hours.sum() == pytest.approx(32_000, rel=0.02)
    assert (np.diff(hours) <= 0).all()


def test_a_layout_that_does_not_hold_is_told():
    many = rates(rate("a", 0.001, files_per_partition=40), hours_per_video=0.001, per_partition=1)
    assert [holds for _, holds in simulate(many, cluster(1000), 200_000).holds] == [False, False, False]
    assert [holds for _, holds in simulate(rates(rate("a", 100)), cluster(4), 200_000).holds] == [True, True, True]


def test_the_plot_shows_every_stage(tmp_path):
    found = simulate(rates(rate("a", 30), rate("b", 10)), cluster(4), 500)
    image = draw_plot(found)
    colours = {colour for _, colour in image.getcolors(100_000)}
    assert {(0, 114, 178), (213, 94, 0)} <= colours
    save_plot(found, str(tmp_path / "plot.png"))
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="cannot write"):
        save_plot(found, str(tmp_path / "no" / "plot.png"))
