"""The command line: ``lowbit VERB ...``. One file per verb; only the verb that is asked for is imported.

Data goes to standard output, everything else to standard error. A verb is a module with ``add_parser(subparsers)``
and ``run(arguments) -> int``; its errors are :class:`lowbit.errors.LowbitError`, rendered and mapped to an exit status
here.
"""

from __future__ import annotations

import errno
import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any, NoReturn

from lowbit._version import __version__
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.file_options import refuse_lost_files
from lowbit.cli.old_spellings import refuse_old_spellings
from lowbit.cli.terminal import Terminal
from lowbit.errors import DeviceError, InfeasibleError, LowbitError
from lowbit.printable import printable, shortened

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "list": "what there is: formats, policies, schemes, methods, layouts",
        "formats": "the same as `lowbit list formats`",
        "show": "one format: bit diagram, facts, special values, source, value table",
        "encode": "values to codes, with the arithmetic behind it",
        "decode": "codes to exact values",
        "explain": "any name that lowbit prints, in words",
        "gen": "generate test vectors",
        "export": "what other tools read: a C header of all kernel prototypes",
        "golden": "list, verify and regenerate the committed vectors",
        "check": "compare a kernel with the reference and name the rule it follows",
        "sensitivity": "what each format would cost each layer of a model",
        "prove": "that an accumulator, or an intermediate of a nonlinearity, cannot overflow",
        "allocate": "choose a format for every layer within budgets",
        "doctor": "versions, processor, caches and the optional packages found",
    }
)
"""Verb -> what it does. Each is the module of the same name in this package."""

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What the system says when output cannot be written, which is not a bug in lowbit."""

COLOR_MODES = ("auto", "always", "never")


class Parser(ArgumentParser):
    """An argument parser whose complaints are rendered like every other error of lowbit; it takes no abbreviations."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise LowbitError(message, hint=f"`{self.prog} --help` says what it takes", code="LB100")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is an :class:`ExitCode`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    color, debug = _early_options(words)
    try:
        status = _run(words)
        sys.stdout.flush()
    except LowbitError as error:
        _render(error, color)
        return _status(error)
    except BrokenPipeError:
        _drop_output()
        return ExitCode.BROKEN_PIPE
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return ExitCode.INTERRUPTED
    except OSError as error:
        if error.errno not in NO_SPACE:
            return _report_bug(error, color, debug=debug)
        _drop_output()
        place = error.filename or "standard output"
        _render(LowbitError(f"{place}: cannot be written: {error.strerror}", hint="make room", code="LB101"), color)
        return ExitCode.USAGE
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it is a bug in lowbit
        return _report_bug(error, color, debug=debug)
    return status


def _status(error: LowbitError) -> ExitCode:
    if isinstance(error, InfeasibleError):
        return ExitCode.INFEASIBLE
    return ExitCode.DEVICE if isinstance(error, DeviceError) else ExitCode.USAGE


def _drop_output() -> None:
    """The interpreter flushes standard output once more at exit: give it somewhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> int:
    verb = _verb(words)
    refuse_old_spellings(verb, words)
    if verb and verb not in VERBS:
        close = get_close_matches(verb, list(VERBS), n=1)
        hint = f"did you mean `lowbit {close[0]}`? " if close else ""
        raise LowbitError(f"unknown verb {verb!r}", hint=f"{hint}one of {', '.join(VERBS)}", code="LB100")
    parser, module = _build_parser(verb)
    if module is None:
        parser.parse_args(words or ["--help"])
        return ExitCode.EQUAL
    arguments = parser.parse_args(words)
    refuse_lost_files(arguments)
    return int(module.run(arguments))


def _build_parser(verb: str) -> tuple[ArgumentParser, ModuleType | None]:
    parser = Parser(
        prog="lowbit",
        description="The golden reference for low-bit numerics: what a low-bit kernel must return, bit for bit.",
        epilog=_epilog(),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lowbit {__version__}")
    _add_common_options(parser, color="auto", debug=False)
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    module = None
    for name, summary in VERBS.items():
        if name != verb:
            subparsers.add_parser(name, help=summary)
            continue
        module = import_module(f"lowbit.cli.verbs.{name}")
        module.add_parser(subparsers)
        _add_common_options(subparsers.choices[name], color=SUPPRESS, debug=SUPPRESS)
    return parser, module


def _add_common_options(parser: ArgumentParser, *, color: str, debug: str | bool) -> None:
    parser.add_argument("--color", choices=COLOR_MODES, default=color, help="colour the output (default: auto)")
    parser.add_argument("--debug", action="store_true", default=debug, help="show the traceback of an internal error")


def _epilog() -> str:
    codes = "\n".join(f"  {code.value:<5}{code.meaning}" for code in ExitCode)
    return f"exit status:\n{codes}\n\n`lowbit VERB --help` says more about a verb."


def _verb(words: Sequence[str]) -> str:
    """The first word that is neither an option nor the value of ``--color``."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--color":
            skip = True
        elif not word.startswith("-"):
            return word
    return ""


def _early_options(words: Sequence[str]) -> tuple[str, bool]:
    """``--color`` and ``--debug``, needed to render an error of the parser itself."""
    color = "auto"
    for index, word in enumerate(words):
        value = words[index + 1] if word == "--color" and index + 1 < len(words) else word.removeprefix("--color=")
        if value in COLOR_MODES and word.startswith("--color"):
            color = value
    return color, "--debug" in words


def _render(error: LowbitError, color: str) -> None:
    terminal = Terminal(color, sys.stderr)
    terminal.write(f"{terminal.paint(f'error[{error.code}]', 'bold', 'red')}: {printable(shortened(error.message))}")
    more = f"`lowbit explain {error.code}` says more"
    hint = f"{error.hint}; {more}" if error.hint else more
    terminal.write(f"{terminal.paint('help', 'bold', 'cyan')}: {printable(shortened(hint))}")


def _report_bug(error: Exception, color: str, *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    terminal = Terminal(color, sys.stderr)
    terminal.write(f"{terminal.paint('error[LB900]', 'bold', 'red')}: internal error: {type(error).__name__}: {error}")
    again = "" if debug else "; run it again with --debug for the traceback"
    terminal.write(f"please report it with the command line and the output of `lowbit doctor`{again}")
    return ExitCode.INTERNAL


__all__ = ["VERBS", "ExitCode", "Namespace", "main"]
