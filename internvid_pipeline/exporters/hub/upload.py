"""The upload: what is already there stays, what changed goes up in bounded commits, and a stopped upload goes on."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from internvid_pipeline.errors import SetupError, StorageError
from internvid_pipeline.exporters.hub.layout import CARD, HubFile, git_hash, is_managed
from internvid_pipeline.storage import Root

_COMMIT_FILES = 50  # the Hub advises 50 to 100 files a commit
_COMMIT_BYTES = 20 * 10**9
_ATTEMPTS = 8
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 120.0
_TRANSIENT = frozenset((408, 409, 412, 425, 429, 500, 502, 503, 504))

T = TypeVar("T")


@dataclass(frozen=True)
class UploadPlan:
    """send: new or changed files. keep: files that are there with the same content. delete: files of an earlier version."""

    repo: str
    send: tuple[HubFile, ...]
    keep: tuple[HubFile, ...]
    delete: tuple[str, ...]

    @property
    def send_bytes(self) -> int:
        """What has to be sent at most; the Hub takes no content twice."""
        return sum(file.size_bytes for file in self.send)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "repo": self.repo,
            "send": [file.path for file in self.send],
            "keep": len(self.keep),
            "delete": list(self.delete),
            "send_bytes": self.send_bytes,
        }


@dataclass(frozen=True)
class Uploaded:
    """What an upload did."""

    repo: str
    url: str
    sent: int
    kept: int
    deleted: int
    commits: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


class HubRepository:
    """A data set repository. The token comes from the usual places (HF_TOKEN, `hf auth login`) and is never shown."""

    def __init__(self, repo: str) -> None:
        try:
            import huggingface_hub
        except ImportError as error:
            raise SetupError("huggingface_hub is not installed: `pip install 'internvid-pipeline[hf]'`") from error
        self.repo = repo
        self._hub = huggingface_hub
        self._api = huggingface_hub.HfApi()

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self._api.endpoint}/datasets/{self.repo}"

    def create(self, private: bool) -> None:
        """Makes the repository where there is none; an existing one keeps its visibility. Raises SetupError, StorageError."""
        self._tried(lambda: self._api.create_repo(self.repo, repo_type="dataset", private=private, exist_ok=True))

    def present(self) -> dict[str, str]:
        """Content hash by path: sha256 of large files, git's own hash of small ones. Empty where there is no repository."""
        try:
            found = self._tried(lambda: list(self._api.list_repo_tree(self.repo, repo_type="dataset", recursive=True)))
        except self._hub.errors.RepositoryNotFoundError:
            return {}
        except self._hub.errors.EntryNotFoundError:  # a repository without a commit
            return {}
        files = [entry for entry in found if isinstance(entry, self._hub.RepoFile)]
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}

    def plan(self, files: Iterable[HubFile]) -> UploadPlan:
        """Compares what should be there with what is."""
        present = self.present()
        wanted = {file.path: file for file in files}
        same = {path for path, file in wanted.items() if present.get(path) in (file.sha256, _git_hash(file))}
        return UploadPlan(
            self.repo,
            send=tuple(file for path, file in wanted.items() if path not in same),
            keep=tuple(wanted[path] for path in wanted if path in same),
            delete=tuple(sorted(path for path in present if path not in wanted and is_managed(path))),
        )

    def upload(self, plan: UploadPlan, root: Root, scratch: Path, observer: Callable[[int, int], None] | None = None) -> Uploaded:
        """Carries a plan out. Data first, then deletions and the card, so that the card never promises what is not there. observer:
        called with files sent and files to send. Raises SetupError, StorageError."""
        data = [file for file in plan.send if file.path != CARD]
        last = [file for file in plan.send if file.path == CARD]
        sent = commits = 0
        for batch in _batches(data):
            self._commit(batch, (), root, scratch, f"Add {len(batch)} files")
            sent, commits = sent + len(batch), commits + 1
            if observer is not None:
                observer(sent, len(plan.send))
        deletions = [plan.delete[start : start + _COMMIT_FILES] for start in range(0, len(plan.delete), _COMMIT_FILES)] or [()]
        for number, paths in enumerate(deletions):
            card = last if number == len(deletions) - 1 else []
            if paths or card:
                self._commit(
                    card, paths, root, scratch, "Update the card" if not paths else f"Delete {len(paths)} files of an earlier version"
                )
                commits += 1
        return Uploaded(self.repo, self.url, sent + len(last), len(plan.keep), len(plan.delete), commits)

    def _commit(self, files: Sequence[HubFile], deletions: Sequence[str], root: Root, scratch: Path, message: str) -> None:
        fetched: list[Path] = []
        operations: list[Any] = [self._hub.CommitOperationDelete(path) for path in deletions]
        try:
            for file in files:
                local = file.staged or root.local_file(_ref(file), scratch)
                if scratch in local.parents and file.staged is None:
                    fetched.append(local)
                operations.append(self._hub.CommitOperationAdd(file.path, local))
            self._tried(lambda: self._api.create_commit(self.repo, operations, commit_message=message, repo_type="dataset"))
        finally:
            for copy in fetched:
                copy.unlink(missing_ok=True)

    def _tried(self, call: Callable[[], T]) -> T:
        """With patience for a Hub that is busy, and its refusals in plain words."""
        for attempt in range(_ATTEMPTS):
            try:
                return call()
            except self._hub.errors.RepositoryNotFoundError:
                raise
            except self._hub.errors.HfHubHTTPError as error:
                status = error.response.status_code if error.response is not None else None
                if status in (401, 403):
                    raise SetupError(
                        f"the Hub refuses access to {self.repo} ({status}); log in with `hf auth login` or set HF_TOKEN"
                    ) from error
                if status not in _TRANSIENT or attempt == _ATTEMPTS - 1:
                    raise StorageError(f"the Hub answers {status} for {self.repo}: {_first_line(error)}") from error
                self._wait(attempt, error.response.headers.get("Retry-After"))
            except (OSError, self._hub.errors.HTTPError) as error:  # the HTTP library's own base, whichever version that is
                if attempt == _ATTEMPTS - 1:
                    raise StorageError(f"the Hub cannot be reached for {self.repo}: {_first_line(error)}") from error
                self._wait(attempt, None)
        raise AssertionError("unreachable")

    @staticmethod
    def _wait(attempt: int, retry_after: str | None) -> None:
        asked = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        time.sleep(min(_LONGEST_WAIT_S, max(asked, _FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.0))))


def _ref(file: HubFile) -> Any:
    assert file.ref is not None
    return file.ref


def _batches(files: Sequence[HubFile]) -> Iterator[list[HubFile]]:
    """Files for one commit each, bounded in number and bytes."""
    batch: list[HubFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) == _COMMIT_FILES or size + file.size_bytes > _COMMIT_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size_bytes
    if batch:
        yield batch


def _git_hash(file: HubFile) -> str:
    """Git's name of a small file's content; "" for shards, which are large and known by sha256."""
    return file.git_hash or (git_hash(file.staged.read_bytes()) if file.staged is not None else "")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
