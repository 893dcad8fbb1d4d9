"""How long videos are before anybody has looked at them: as a list or a site says, else as their size suggests. Partitions are cut and
ordered by it; nothing that comes out depends on it."""

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.storage import Root, layout, manifest_from_json
from internvid_pipeline.storage.inventory import list_done, read_many

_BYTES_PER_S = 250_000  # 2 Mbit/s, as 720p has it; of files only their order counts
_DURATION = r'"duration(?:_s)?": ?"?(?P<s>[0-9]+(?:\.[0-9]+)?)'
_PATTERN = re.compile(_DURATION)


def told_s(source: SourceRecord) -> float:
    """Seconds that a list or a site says (`duration`, `duration_s`); 0 where nobody does."""
    match = _PATTERN.search(source.metadata_json)
    return float(match["s"]) if match else 0.0


def seconds_by_partition(table: pa.Table) -> dict[int, float]:
    """Seconds in each partition, of rows of SourceRecords with their partition; inputs of which nothing is known count nothing."""
    told = pc.cast(pc.struct_field(pc.extract_regex(table["metadata_json"], _DURATION), "s"), pa.float64())
    by_size = pc.divide(pc.cast(table["size_bytes"], pa.float64()), _BYTES_PER_S)
    seconds = pc.fill_null(pc.coalesce(told, by_size), 0.0)
    summed = pa.table({"partition": table["partition"], "s": seconds}).group_by("partition", use_threads=False).aggregate([("s", "sum")])
    return dict(zip(summed["partition"].to_pylist(), summed["s_sum"].to_pylist(), strict=True))


def with_measured(root: Root, plans: Sequence[StagePlan], seconds: Mapping[int, float]) -> dict[int, float]:
    """`seconds`, and where these say nothing (addresses) what the stage that brought the videos has found. Raises StorageError."""
    found = dict(seconds)
    importer = next((plan for plan in plans if plan.reads is None), None)
    unknown = {partition for partition, length_s in found.items() if not length_s}
    if importer is not None and unknown:
        paths = [layout.manifest(importer.folder, partition) for partition in sorted(unknown & list_done(root, importer.folder))]
        for path, data in read_many(root, paths):
            if data is not None:
                manifest = manifest_from_json(data, path)
                found[manifest.partition] = manifest.video_s
    return found
