"""From a root to the plan that it was last run with."""

from internvid_pipeline.config import DatasetConfig, config_from, from_yaml
from internvid_pipeline.engine import StagePlan, build_plan, partition_numbers
from internvid_pipeline.errors import UsageError
from internvid_pipeline.storage import Root, check_root_uri, layout


def open_dataset(uri: str) -> tuple[Root, DatasetConfig, list[StagePlan], list[int]]:
    """Root, config of the last run, its plan, and the partitions. Raises UsageError where no data set is there."""
    root = Root(check_root_uri(uri))
    try:
        data = from_yaml(root.read_bytes(layout.DATASET_FILE).decode())
    except FileNotFoundError:
        raise UsageError(f"{uri!r} holds no data set ({layout.DATASET_FILE} is missing); give the root= of a run") from None
    except (UsageError, UnicodeDecodeError) as error:
        raise UsageError(f"{uri}/{layout.DATASET_FILE} is damaged: {error}; run the config again to write it anew") from error
    config = config_from(data, where=f"{uri}/{layout.DATASET_FILE}")
    partitions = partition_numbers(root)
    return root, config, build_plan(config, len(partitions)), partitions
