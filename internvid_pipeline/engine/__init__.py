"""Running a plan: partitions, fingerprints, watched workers, the two engines (`inline`, `ray`), and what the manifests tell."""

from internvid_pipeline.engine.inputs import Input, list_inputs
from internvid_pipeline.engine.partition import run_partition
from internvid_pipeline.engine.partitions import partition_numbers
from internvid_pipeline.engine.plan import StagePlan, build_plan, select_stages
from internvid_pipeline.engine.preview import Preview, StagePreview, preview
from internvid_pipeline.engine.report import StageStatus, read_losses
from internvid_pipeline.engine.run import ENGINES, RunReport, open_root, run_dataset
from internvid_pipeline.engine.status import StatusReader

__all__ = [
    "ENGINES",
    "Input",
    "Preview",
    "RunReport",
    "StagePlan",
    "StagePreview",
    "StageStatus",
    "StatusReader",
    "build_plan",
    "list_inputs",
    "open_root",
    "partition_numbers",
    "preview",
    "read_losses",
    "run_dataset",
    "run_partition",
    "select_stages",
]
