"""Options of `internvid launch`, some of which `jobs`, `logs` and `stop` share."""

from typing import Annotated

import typer

from internvid_pipeline.cli.run import LogFormat

_FILES = "Files for other schedulers"
UntilOption = Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.", show_default=False)]
OnlyOption = Annotated[str | None, typer.Option(metavar="STAGE", help="Run just this stage, on what is there for it.", show_default=False)]
RatioOption = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="End with status 1 when a larger share of a stage's inputs failed; default: the config's."),
]
LogFormatOption = Annotated[
    LogFormat | None, typer.Option(help="json: driver and workers log one JSON object a line, for log collectors.", show_default=False)
]
AddressOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The cluster's job server, http://HEAD:8265; default: RAY_API_SERVER_ADDRESS.", show_default=False),
]
EnvOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Pass a variable on: NAME, NAME=value or 'AWS_*'. Whoever may list jobs may ask Ray for them."),
]
PipOption = Annotated[
    bool, typer.Option("--pip", help="Install what the plan needs on the nodes, in the versions that are installed here.")
]
ShipOption = Annotated[list[str] | None, typer.Option(metavar="PACKAGE", help="Send one more package of source, which your stages import.")]
KuberayOption = Annotated[bool, typer.Option("--kuberay", help="Print a RayJob for KubeRay instead.", rich_help_panel=_FILES)]
SlurmOption = Annotated[bool, typer.Option("--slurm", help="Print an sbatch script instead.", rich_help_panel=_FILES)]
ImageOption = Annotated[str | None, typer.Option(help="KubeRay: an image with Ray and internvid-pipeline.", rich_help_panel=_FILES)]
SecretOption = Annotated[
    str | None, typer.Option(help="KubeRay: a Secret whose keys become variables (credentials).", rich_help_panel=_FILES)
]
CpuNodesOption = Annotated[str, typer.Option(metavar="MIN:MAX", help="KubeRay: nodes without GPU.", rich_help_panel=_FILES)]
GpuNodesOption = Annotated[str, typer.Option(metavar="MIN:MAX", help="KubeRay: nodes with GPU.", rich_help_panel=_FILES)]
NodesOption = Annotated[int, typer.Option(min=1, help="Slurm: nodes, all of one kind.", rich_help_panel=_FILES)]
CpusOption = Annotated[int, typer.Option(min=1, max=1024, help="CPUs of a node.", rich_help_panel=_FILES)]
GpusOption = Annotated[int, typer.Option(min=1, max=64, help="GPUs of a node that has any.", rich_help_panel=_FILES)]
