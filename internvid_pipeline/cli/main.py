"""`internvid`: the commands together, and the one place where an error becomes a line and an exit status."""

import os
import sys

import typer

from internvid_pipeline.cli import config, demo, doctor, failures, plan, run, status, validate
from internvid_pipeline.errors import InternvidError

app = typer.Typer(
    name="internvid",
    help="From a list of videos to a video-text data set: cut, caption, score, select, shard. Every command resumes what is there.",
    epilog="Exit status: 0 done; 1 done, but more failed than --max-failed-ratio allows (validate: problems found); 2 wrong usage or config; "
    "3 nothing could run, or not all of it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("status")(status.status)
app.command("failures")(failures.failures)
app.command("validate")(validate.validate)
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)

INTERRUPTED_STATUS = 130


def main() -> None:
    """Entry point of the `internvid` command."""
    try:
        app(standalone_mode=True)
    except InternvidError as error:
        print(f"internvid: {' '.join(str(error).split())}", file=sys.stderr)
        if os.environ.get("INTERNVID_DEBUG"):
            raise
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print("internvid: stopped; what is done is kept, the same command goes on from there", file=sys.stderr)
        sys.exit(INTERRUPTED_STATUS)
    except BrokenPipeError:  # `internvid status | head`
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
