"""The app, and how what a command returns becomes output and an exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from mad_prefect_core.cli.assets import add_to
from mad_prefect_core.cli.output import FINE, INTERRUPTED, PROBLEM, WRONG_USAGE, crash, fail, log_to_stderr, show
from mad_prefect_core.cli.plugins import plugins_app
from mad_prefect_core.errors import MadPrefectError
from mad_prefect_core.translation import translated, typed

__all__ = ["app", "main", "run"]

app = App(
    "mad-prefect",
    help="Durable, cached, queryable data assets: any format on any storage, by plugin.",
    help_epilogue="Exit codes: 0 all is well; 1 a problem was found, or it could not be done; 2 wrong usage.",
    version=lambda: version("mad-prefect-core"),
)
app.command(plugins_app)
add_to(app)


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json: Annotated[
        bool, Parameter(negative="", show_default=False, help="Print the result as JSON: to stdout, and nothing else.")
    ] = False,
) -> int:
    command, arguments, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    if not command.__module__.startswith(__package__):  # a page of help, or the version
        command(*arguments.args, **arguments.kwargs)
        return FINE
    with (
        contextlib.redirect_stdout(sys.stderr),  # for a plugin that prints when it is imported
        translated(phase=command.__name__),
    ):
        result = command(*arguments.args, **arguments.kwargs)
    return show(result, as_json=json)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, that of this process if None. Returns the exit code."""
    # The commands say themselves which plugins failed.
    log_to_stderr(logging.getLogger("mad_prefect_core"), but="mad_prefect_core.plugins")
    try:
        code: int | None = app.meta(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code or FINE  # None of a page of help
    except CycloptsError as error:
        return fail(f"{error} See --help.", WRONG_USAGE)
    except KeyboardInterrupt:
        return fail("interrupted.", INTERRUPTED)
    except BrokenPipeError:  # whoever reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PROBLEM
    except Exception as error:
        told = typed(error)
        return crash() if type(told) is MadPrefectError else fail(str(told), PROBLEM)


def main() -> None:
    """What the console script calls."""
    sys.exit(run())
