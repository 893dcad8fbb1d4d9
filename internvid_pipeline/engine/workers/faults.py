"""What a watcher learns of its worker: how much it holds, and whose fault it was."""

import psutil

from internvid_pipeline.errors import InternvidError, SetupError, StorageError
from internvid_pipeline.storage import scratch_base


def held_mb(pid: int) -> float:
    """Memory of a process and all that it has started; 0 where it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    return sum(_resident_bytes(member) for member in family) / 1e6


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def worker_fault(stage: str, error_class: str, message: str, detail: str) -> InternvidError:
    """What a worker said of a fault that is not its item's, as the error that it is."""
    kinds: dict[str, type[InternvidError]] = {cls.__name__: cls for cls in (StorageError, SetupError)}
    kind = kinds.get(error_class)
    if kind is not None:
        return kind(message)
    if "OSError" in error_class:
        fault: InternvidError = StorageError(f"{message}; scratch files lie in {scratch_base()} (TMPDIR moves them)")
    else:
        fault = SetupError(f"stage {stage}: {error_class}: {message}")
    fault.add_note(detail)
    return fault
