"""A cluster as a few lines of YAML: kinds of machines and what things cost. Prices are the user's to fill in; without them no money is
reckoned."""

from pathlib import Path

from pydantic import Field

from internvid_pipeline.config import Section, from_yaml, validated
from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.errors import UsageError

DEFAULT = "machines"


class MachineKind(Section):
    """Machines of one kind."""

    count: int = Field(ge=0, le=100_000, description="How many of them.")
    cpus: float = Field(gt=0, description="CPUs that Ray may use on one.")
    gpus: float = Field(default=0, ge=0, description="GPUs of one.")
    price_per_hour: float | None = Field(default=None, ge=0, description="Of one, in the file's currency; null: not known.")


class StoragePrices(Section):
    """What the object store charges; null: not known."""

    per_gb_month: float | None = Field(default=None, ge=0, description="One GB (10^9 bytes) for a month.")
    per_1000_writes: float | None = Field(default=None, ge=0, description="PUT, COPY, POST and LIST requests are often priced alike.")
    per_1000_reads: float | None = Field(default=None, ge=0, description="GET and HEAD requests.")
    per_1000_lists: float | None = Field(default=None, ge=0, description="LIST requests, each of up to 1000 names.")


class ClusterDescription(Section):
    """Machines and prices."""

    machines: dict[str, MachineKind] = Field(min_length=1, description="Kinds of machines by name.")
    currency: str = Field(default="", max_length=10, description="Of all prices.")
    prices_from: str = Field(default="", description="Where the prices come from, and when: shown with every sum of money.")
    storage: StoragePrices = Field(default_factory=StoragePrices, description="Prices of the object store.")

    @property
    def cpus(self) -> float:
        """CPUs of all machines."""
        return sum(kind.count * kind.cpus for kind in self.machines.values())

    @property
    def gpus(self) -> float:
        """GPUs of all machines."""
        return sum(kind.count * kind.gpus for kind in self.machines.values())

    @property
    def price_per_hour(self) -> float | None:
        """Of all machines together; None where a price is missing."""
        prices = [(kind.count, kind.price_per_hour) for kind in self.machines.values() if kind.count]
        return None if any(price is None for _, price in prices) else sum(count * (price or 0.0) for count, price in prices)

    def workers(self, cpus: float, gpus: float) -> int:
        """How many workers that hold so much fit on all machines, each on one of them."""
        total = 0
        for kind in self.machines.values():
            room = min(kind.cpus / cpus if cpus else float("inf"), kind.gpus / gpus if gpus else float("inf"))
            total += kind.count * int(room + 1e-9)
        return total

    def share_price(self, cpus: float, gpus: float) -> float | None:
        """Price per hour of the share of a machine that a worker holds, on the kind where that is cheapest; None where it fits nowhere or
        a price is missing. A worker that holds all GPUs of a machine is charged with the whole machine."""
        shares = []
        for kind in self.machines.values():
            if kind.cpus >= cpus and kind.gpus >= gpus:
                if kind.price_per_hour is None:
                    return None
                shares.append(kind.price_per_hour * max(cpus / kind.cpus, gpus / kind.gpus if gpus else 0.0))
        return min(shares, default=None)


def load_cluster(path: str | None) -> ClusterDescription:
    """The description at `path`, or the shipped one of that bare name; None: the shipped `machines`. Raises UsageError."""
    name = path or DEFAULT
    file = Path(name).expanduser()
    if not file.is_file() and "/" not in name:
        file = configs_dir() / "cluster" / f"{name}.yaml"
    return validated(ClusterDescription, read_yaml(file, name, "machines"), name)


def read_yaml(file: Path, name: str, what: str) -> object:
    """Plain data of a YAML file. Raises UsageError."""
    try:
        return from_yaml(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        shipped = sorted(found.stem for found in (configs_dir() / "cluster").glob(f"{what}*.yaml"))
        raise UsageError(f"no {what} file {name!r}: give a YAML file or one of {', '.join(shipped)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error
    except UsageError as error:
        raise UsageError(f"{name} is {error}") from error
