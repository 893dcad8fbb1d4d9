"""An export into a local file, and the clips beside it where the reader opens one file for each."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.exporters.formats import Format
from internvid_pipeline.exporters.samples import ExportSample, read_samples
from internvid_pipeline.storage import Root, replaced_file


@dataclass(frozen=True)
class FileExport:
    """path: what was written. num_rows: in it. num_samples: clips of the selection. num_left_out: those that the reader would refuse.
    num_files: clips that were written as files, num_present: those that lay there already."""

    path: Path
    num_rows: int
    num_samples: int
    num_left_out: int
    num_files: int
    num_present: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {**asdict(self), "path": str(self.path)}


def export_file(
    root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], selection: str, target: Format, path: Path, media: Path | None
) -> FileExport:
    """Writes the selection in a format to `path`, which appears when it is complete. media: a folder for the clips' files; those that
    are there with the right size are kept, so that a stopped export goes on. Raises UsageError, StorageError."""
    counter = _Counter(root, media)
    with replaced_file(path) as file:
        num_rows = target.write(target.rows(counter.passing(read_samples(root, plans, partitions, selection))), file)
    return FileExport(path, num_rows, counter.num_samples, target.num_left_out, counter.num_files, counter.num_present)


class _Counter:
    """Counts samples on their way, and writes their clips."""

    def __init__(self, root: Root, media: Path | None) -> None:
        self._root, self._media = root, media
        self.num_samples = self.num_files = self.num_present = 0

    def passing(self, samples: Iterator[ExportSample]) -> Iterator[ExportSample]:
        for sample in samples:
            self.num_samples += 1
            if self._media is not None:
                self._write(sample, self._media / sample.file_name)
            yield sample

    def _write(self, sample: ExportSample, path: Path) -> None:
        if path.is_file() and path.stat().st_size == sample.clip.media.size_bytes:
            self.num_present += 1
            return
        with replaced_file(path) as file:
            file.write(self._root.read_media(sample.clip.media))
        self.num_files += 1
