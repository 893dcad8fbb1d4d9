"""A job as it is handed to a cluster: its name, its command, what it is sent and told."""

import fnmatch
import hashlib
import os
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from internvid_pipeline import __version__
from internvid_pipeline.cluster.packages import packages_of, pinned_requirements
from internvid_pipeline.cluster.shipment import CONFIG_FILE, collect_files, job_config, own_packages
from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine import build_plan, select_stages
from internvid_pipeline.errors import UsageError

STOP_WAIT_S = 40  # Ray ends a stopped job the hard way after 3 s; a partition in the middle of its upload may need more
_OF_A_FILE = re.compile(r"_(FILE|BUNDLE|PATH|DIR)$")  # names a file of this machine: passed on only when it is named itself
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How the job runs the config: as the options of `internvid run`."""

    until: str | None = None
    only: str | None = None
    max_failed_ratio: float | None = None
    log_format: str | None = None

    def words(self) -> list[str]:
        """For a command line."""
        given = {"until": self.until, "only": self.only, "max-failed-ratio": self.max_failed_ratio, "log-format": self.log_format}
        return [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]


@dataclass(frozen=True)
class Submission:
    """A job that could be submitted. env: variables that are passed on, values included: never print it, see `masked`. pip: requirements
    to install for the job, empty where the cluster has them. files: what is sent, by name."""

    id: str
    name: str
    root: str
    config: dict[str, Any]
    packages: tuple[str, ...]
    command: str
    env: dict[str, str] = field(repr=False)
    pip: tuple[str, ...]
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def metadata(self) -> dict[str, str]:
        """What Ray keeps with the job, for `internvid jobs` and for finding a second job on one root."""
        return {"internvid_name": self.name, "internvid_root": self.root, "internvid_version": __version__}

    def masked(self) -> dict[str, Any]:
        """All of it for people, without a single value of a passed variable."""
        return {
            "submission_id": self.id,
            "entrypoint": self.command,
            "metadata": self.metadata,
            "packages": list(self.packages),
            "files": len(self.files),
            "size_bytes": sum(len(data) for data in self.files.values()),
            "env": dict.fromkeys(self.env, "***"),
            "pip": list(self.pip),
            "config": self.config,
        }


def root_key(root: str) -> str:
    """Eight digits that stand for a root."""
    return hashlib.sha256(root.rstrip("/").encode()).hexdigest()[:8]


def build_submission(
    config: DatasetConfig,
    options: RunOptions,
    env: Sequence[str] = (),
    ship: Sequence[str] = (),
    with_pip: bool = False,
    python: str = "python",
) -> Submission:
    """The job for a config. Touches nothing outside this process. Raises UsageError."""
    data = job_config(config)
    plans = select_stages(build_plan(config, 0), options.until, options.only)
    places = [data["root"], data["source"]["path"]]
    needed = [package for plan in plans for package in packages_of(plan, places)]
    packages = own_packages(config, ship)
    started = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return Submission(
        id=f"internvid-{config.name}-{root_key(data['root'])}-{started}",
        name=config.name,
        root=data["root"],
        config=data,
        packages=tuple(packages),
        command=job_command(CONFIG_FILE, options, python),
        env=passed_variables(env),
        pip=tuple(pinned_requirements([name for name in dict.fromkeys(needed) if name not in packages])) if with_pip else (),
        files=collect_files(data, packages),
    )


def job_command(config_file: str, options: RunOptions, python: str = "python") -> str:
    """The shell command of a job: first whether the library can start there, then checks of the cluster and the run itself."""
    words = [python, "-m", "internvid_pipeline.cli.main", "job", config_file, *options.words()]
    return f"{shlex.quote(python)} -m internvid_pipeline.cluster.bootstrap && exec {shlex.join(words)}"


def passed_variables(wanted: Sequence[str]) -> dict[str, str]:
    """Variables for the job out of `NAME`, `NAME=value` or a pattern (`AWS_*`). Raises UsageError for one that is not set; no message
    holds a value."""
    found: dict[str, str] = {}
    for entry in wanted:
        name, equals, value = entry.partition("=")
        if "*" in name and not equals:
            matching = {key: value for key, value in os.environ.items() if fnmatch.fnmatchcase(key, name) and not _OF_A_FILE.search(key)}
        elif not _VARIABLE.fullmatch(name):
            raise UsageError(f"--env {name!r}: write the name of a variable, NAME=value, or a pattern such as 'AWS_*'")
        else:
            matching = {name: value} if equals else {name: os.environ[name]} if name in os.environ else {}
        if not matching:
            raise UsageError(f"--env {name}: no such variable is set here; set it, or leave the option out")
        found |= matching
    return found
