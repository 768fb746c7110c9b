"""The verbs of the `bellwire` command, and errors turned into one line and an exit code.

Verb modules import nothing heavy at the top, so `bellwire --help` stays quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import typer
from typer.exceptions import Abort, TyperException

from bellwire.cli import (
    agents,
    backup,
    bridge,
    call,
    config,
    dead_letters,
    demo,
    doctor,
    info,
    latest,
    model,
    profile,
    pub,
    query,
    replay,
    restore,
    seek,
    serve,
    sink,
    sub,
    subscriptions,
    tail,
    topics,
    trace,
    train,
    version,
)
from bellwire.cli.faults import CommandError, ExitCode
from bellwire.cli.loadtest import verb as loadtest
from bellwire.cli.positions import RelativeTimesCommand
from bellwire.wire.errors import BellwireError

__all__ = ["app", "run"]

# Extras of packages that only some verbs need.
EXTRA_OF: Final = {
    "aiokafka": "kafka",
    "duckdb": "sinks",
    "google": "bigquery",
    "redis": "redis",
    "gymnasium": "train",
    "numpy": "agents",
    "pettingzoo": "train",
    "rich": "cli",
    "torch": "train",
}

app = typer.Typer(
    name="bellwire",
    help="The message bus for trading agents: signals in, orders out, every hop traced.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve.serve)
app.command()(demo.demo)
app.command()(pub.pub)
app.command()(sub.sub)
app.command()(tail.tail)
app.command()(latest.latest)
app.command()(replay.replay)
app.command()(bridge.bridge)
app.command()(loadtest.loadtest)
app.command(cls=RelativeTimesCommand)(seek.seek)
app.command()(call.call)
app.add_typer(topics.app, name="topics")
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(agents.app, name="agents")
app.add_typer(model.app, name="model")
app.command()(sink.sink)
app.command()(query.query)
app.command()(trace.trace)
app.add_typer(train.app, name="train")
app.command()(info.info)
app.command()(doctor.doctor)
app.command()(profile.profile)
app.command()(backup.backup)
app.command()(restore.restore)
app.add_typer(config.app, name="config")
app.command()(version.version)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; errors go to stderr, one line each."""
    try:
        status = app(args=arguments, prog_name="bellwire", standalone_mode=False)
    except TyperException as error:
        return _usage(error)
    except CommandError as error:
        return _complain(str(error), error.exit_code, error.details)
    except BellwireError as error:
        # Errors of the configuration name their exit code; all others are failures.
        return _complain(error.message, getattr(error, "exit_code", ExitCode.FAILURE))
    except ModuleNotFoundError as error:
        return _missing_package(error)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):
            # The reader of our output has enough (`bellwire tail … | head`): no failure. Typer
            # makes this exit of it.
            return ExitCode.OK
        raise
    except (KeyboardInterrupt, Abort):
        return ExitCode.INTERRUPTED
    return status if isinstance(status, int) else ExitCode.OK


def _missing_package(error: ModuleNotFoundError) -> int:
    """Name the extra that brings a package of somebody else; a module of ours is our fault."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "bellwire"):
        raise error
    extra = EXTRA_OF.get(package, "server")
    return _complain(
        f"this verb needs package {error.name!r}: pip install 'bellwire[{extra}]'", ExitCode.FAILURE
    )


def _usage(error: TyperException) -> int:
    text = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        # Typer has printed the help already; asking for nothing is no mistake.
        return ExitCode.OK
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context is not None else ""
    return _complain(f"{text.rstrip('.')}{hint}", error.exit_code)


def _complain(text: str, status: int, details: str = "") -> int:
    """Print one line on stderr, with colour where a person reads it, and details as they are."""
    label = "\x1b[1;31merror:\x1b[0m" if _stderr_has_colour() else "error:"
    sys.stderr.write(f"{label} {' '.join(text.split())}\n")
    if details:
        sys.stderr.write(f"{details.rstrip()}\n")
    return status


def _stderr_has_colour() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ
