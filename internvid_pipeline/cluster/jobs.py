"""Jobs on a cluster, through Ray's job server: submit, list, find, stop. The only module that uses `ray.job_submission`."""

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from internvid_pipeline.cluster.address import ADDRESS_VARIABLES, check_server
from internvid_pipeline.cluster.shipment import write_zip
from internvid_pipeline.cluster.submission import STOP_WAIT_S, Submission
from internvid_pipeline.errors import SetupError, UsageError
from internvid_pipeline.storage.secrets import redacted

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True, slots=True)
class Job:
    """A job of ours. status: PENDING, RUNNING, or one of ENDED. started_s, ended_s: Unix times. exit_status: of its command, None while it
    runs and where it never started. message: what Ray says of it."""

    id: str
    name: str
    root: str
    status: str
    started_s: float | None
    ended_s: float | None
    exit_status: int | None
    message: str

    @property
    def is_active(self) -> bool:
        """Waiting or running."""
        return self.status not in ENDED

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


class JobServer:
    """The job server at a checked address. Every method raises SetupError, in one line, where the server does not do what is asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ray_version = check_server(address)
        try:
            from ray.job_submission import JobSubmissionClient
        except ImportError as error:
            raise SetupError("Ray is not installed here: `pip install 'internvid-pipeline[ray]'`") from error
        for name in ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with self._asked("reach"), _without(ADDRESS_VARIABLES):  # these would win over the address that was given
            self.client = JobSubmissionClient(address)

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, OSError, ValueError) as error:  # what Ray's client and the HTTP library raise; its AuthenticationError too
            lines = [line for line in redacted(str(error)).splitlines() if line.strip()] or [type(error).__name__]
            cause = next((line for line in reversed(lines) if "Error" in line), lines[0])
            raise SetupError(f"cannot {what} at {self.address}: {cause.strip()[:500]}") from error

    def jobs(self) -> list[Job]:
        """Our jobs, the newest last."""
        with self._asked("list jobs"):
            found = self.client.list_jobs()
        own = [_job(details) for details in found if (details.metadata or {}).get("internvid_root")]
        return sorted(own, key=lambda job: (job.started_s or 0.0, job.id))

    def job(self, job_id: str) -> Job:
        """One job as it is now."""
        with self._asked(f"look at job {job_id}"):
            return _job(self.client.get_job_info(job_id))

    def find(self, text: str) -> Job:
        """The job that `text` means: an id, the beginning of one (`internvid-` may be left out), or a data set's name, whose running job
        comes before its newest. Raises UsageError."""
        jobs = self.jobs()
        named = [job for job in jobs if job.name == text]
        if named:
            return next((job for job in reversed(named) if job.is_active), named[-1])
        matching = [job for job in jobs if job.id.startswith((text, f"internvid-{text}"))] if text else []
        exact = [job for job in matching if job.id == text]
        if len(exact or matching) == 1:
            return (exact or matching)[0]
        if matching:
            raise UsageError(f"{text!r} may mean {', '.join(job.id for job in matching)}; write more of it")
        known = ", ".join(job.id for job in jobs[-3:]) or "none yet"
        raise UsageError(f"no job {text!r} at {self.address}; the newest are: {known}")

    def active_on(self, root: str) -> list[Job]:
        """Jobs on this root that wait or run, the oldest first."""
        return [job for job in self.jobs() if job.is_active and job.root.rstrip("/") == root.rstrip("/")]

    def submit(self, submission: Submission, again: bool = False) -> None:
        """Hands the job over. again: also where another job is at work on the same root. Raises UsageError where one is."""
        if not again:
            self._refuse(submission, self.active_on(submission.root))
        try:
            self._hand_over(submission)
        except SetupError:
            if not again:  # two launches within one second: their ids are equal
                self._refuse(submission, [job for job in self.jobs() if job.id == submission.id])
            raise
        if not again:
            self._settle(submission)

    def _hand_over(self, submission: Submission) -> None:
        with tempfile.TemporaryDirectory() as folder, self._asked("submit the job"):
            archive = Path(folder) / "job.zip"
            write_zip(submission.files, archive)
            runtime_env: dict[str, Any] = {
                "working_dir": str(archive),
                "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S), "PYTHONUNBUFFERED": "1", **submission.env},
            }
            if submission.pip:
                runtime_env["pip"] = {"packages": list(submission.pip), "pip_check": False}
            self.client.submit_job(
                entrypoint=submission.command, submission_id=submission.id, runtime_env=runtime_env, metadata=submission.metadata
            )

    def _refuse(self, submission: Submission, others: Sequence[Job]) -> None:
        if others:
            other = others[0].id
            raise UsageError(
                f"{other} is at work on {submission.root}; follow it with `internvid logs -f {other} --address {self.address}`, "
                "or add --again for a second one, which is harmless and gains nothing"
            )

    def _settle(self, submission: Submission) -> None:
        """Two launches at the same moment both found nobody: the earlier job stays, the later withdraws itself."""
        active = self.active_on(submission.root)
        earlier = [job for job in active if job.id != submission.id]
        own = next((job for job in active if job.id == submission.id), None)
        if own is None or not earlier or (own.started_s or 0.0, own.id) < (earlier[0].started_s or 0.0, earlier[0].id):
            return
        self.stop(submission.id)
        self._refuse(submission, earlier)

    def stop(self, job_id: str) -> bool:
        """Asks the job to end; False where it had ended."""
        with self._asked(f"stop job {job_id}"):
            return bool(self.client.stop_job(job_id))

    def wait_until_ended(self, job_id: str, deadline_s: float) -> Job:
        """The job when it has ended, or as it is after so many seconds."""
        deadline = time.monotonic() + deadline_s
        while (job := self.job(job_id)).is_active and time.monotonic() < deadline:
            time.sleep(0.3)
        return job

    def logs(self, job_id: str) -> str:
        """All that the job has printed."""
        with self._asked(f"read the logs of job {job_id}"):
            return str(self.client.get_job_logs(job_id))


def _job(details: Any) -> Job:
    metadata = details.metadata or {}
    code = getattr(details, "driver_exit_code", None)
    return Job(
        id=details.submission_id or details.job_id or "",
        name=metadata.get("internvid_name", ""),
        root=metadata.get("internvid_root", ""),
        status=str(getattr(details.status, "value", details.status)),
        started_s=details.start_time / 1000 if details.start_time else None,
        ended_s=details.end_time / 1000 if details.end_time else None,
        exit_status=int(code) if code is not None else None,
        message=redacted(" ".join((details.message or "").split())),
    )


@contextlib.contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
