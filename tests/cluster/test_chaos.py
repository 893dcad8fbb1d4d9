"""A small chaos run; `make soak-chaos` is the large one (200 partitions, 30 kills and more)."""

import pytest

from tests.cluster.chaos import Chaos, Plan

SEED = 20261121


@pytest.mark.kill
@pytest.mark.ray
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_whatever_dies_nothing_is_lost_or_doubled(tmp_path_factory: pytest.TempPathFactory):
    """Two drivers at once over a store that fails now and then; workers, a node and a driver are killed."""
    plan = Plan(
        seed=SEED, partitions=16, items=2, work_s=0.15, nodes=3, node_cpus=1.0, kills={"worker": 3, "node": 1, "driver": 1}, deadline_s=500
    )
    print(f"seed {plan.seed}")
    with Chaos(plan, tmp_path_factory.mktemp("chaos")) as chaos:
        result = chaos.run()
        print(result)
    assert sum(result.kills.values()) == 5, "the run was over before it could be disturbed enough"
    assert result.is_equal, result.differing
    assert not result.unaccounted
    assert result.faults["requests"] > 100 and sum(result.faults.values()) > result.faults["requests"]
