"""`internvid`: the commands together, and the one place where an error becomes a line and an exit status."""

import os
import sys
from typing import Any

import typer

from internvid_pipeline.cli import (
    availability,
    browse,
    config,
    demo,
    doctor,
    export,
    failures,
    gc,
    jobs,
    launch,
    logs,
    models,
    plan,
    remove,
    report,
    retry,
    run,
    status,
    stop,
    validate,
)
from internvid_pipeline.errors import InternvidError

app = typer.Typer(
    name="internvid",
    help="From a list of videos to a video-text data set: cut, caption, score, select, shard. Every command resumes what is there.",
    epilog="Exit status: 0 done; 1 done, but more failed than --max-failed-ratio allows (validate: problems found); "
    "2 wrong usage or config; 3 nothing could run, or not all of it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("retry")(retry.retry)
app.command("plan")(plan.plan)
app.command("status")(status.status)
app.command("failures")(failures.failures)
app.command("availability")(availability.availability)
app.command("report")(report.report)
app.command("browse")(browse.browse)
app.command("validate")(validate.validate)
app.add_typer(export.app, name="export")
app.command("remove")(remove.remove)
app.command("gc")(gc.gc)
app.add_typer(config.app, name="config")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("launch")(launch.launch)
app.command("jobs")(jobs.jobs)
app.command("logs")(logs.logs)
app.command("stop")(stop.stop)
app.command("job", hidden=True)(launch.job)

INTERRUPTED_STATUS = 130  # what the command line library returns on Ctrl-C
_WrongCommandLine: type[Exception] = typer.BadParameter.__mro__[2]  # the base of all its errors, which typer has under no name


def main() -> None:
    """Entry point of the `internvid` command."""
    try:
        status = app(prog_name="internvid", standalone_mode=False)
        sys.stdout.flush()
    except InternvidError as error:
        print(f"internvid: {' '.join(str(error).split())}", file=sys.stderr)
        if os.environ.get("INTERNVID_DEBUG"):
            raise
        sys.exit(error.exit_status)
    except _WrongCommandLine as error:
        sys.exit(_refused(error))
    except (BrokenPipeError, SystemExit):  # `internvid status | head`; the library makes a SystemExit of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    if status == INTERRUPTED_STATUS:
        print("internvid: stopped; what is done is kept, the same command goes on from there", file=sys.stderr)
    sys.exit(status if isinstance(status, int) else 0)


def _refused(error: Any) -> int:
    """Says what is wrong with the command line, in one line like all other errors. Returns the exit status."""
    if type(error).__name__ == "NoArgsIsHelpError":  # `internvid` alone: its message is the help
        error.show()
    else:
        command = error.ctx.command_path if getattr(error, "ctx", None) else "internvid"
        print(f"internvid: {' '.join(error.format_message().split()).rstrip('.')}; see {command} --help", file=sys.stderr)
    return int(error.exit_code)


if __name__ == "__main__":
    main()
