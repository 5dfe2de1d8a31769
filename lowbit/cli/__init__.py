"""The command line: ``lowbit VERB ...``. One file per verb; only the verb that is asked for is imported.

Data goes to standard output, everything else to standard error. A verb is a module with ``add_parser(subparsers)``
and ``run(arguments) -> int``; its errors are :class:`lowbit.errors.LowbitError`, rendered and mapped to an exit status
here.
"""

from __future__ import annotations

import errno
import re
import sys
from argparse import SUPPRESS, Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from lowbit._version import __version__
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.file_options import refuse_lost_files
from lowbit.cli.old_spellings import LATER_VERBS, refuse_old_spellings
from lowbit.cli.streams import drop, open_closed_streams, write_error
from lowbit.cli.terminal import Terminal
from lowbit.errors import DeviceError, InfeasibleError, LowbitError, UsageError
from lowbit.printable import LONGEST_EXCERPT, printable, shortened

VERBS: Mapping[str, str] = {
    "list": "what there is: formats, units, policies, schemes, methods, layouts",
    "formats": "the same as `lowbit list formats`",
    "show": "one format: bit diagram, facts, special values, source, value table",
    "encode": "values to codes, with the arithmetic behind it",
    "decode": "codes to exact values",
    "explain": "any name that lowbit prints, in words",
    "gen": "generate test vectors",
    "export": "what other tools read: a C header, an integer model as ONNX, a plan for a runtime",
    "golden": "list, verify and regenerate the committed vectors",
    "check": "compare a kernel with the reference and name the rule it follows",
    "scan": "what formats a checkpoint holds, and an audit of how they are stored",
    "quantize": "a checkpoint's matrices into a block format",
    "dequantize": "the values of a quantised checkpoint",
    "evaluate": "what quantisers and formats make of a model: bits against what they cost",
    "run": "an integer model: codes in, codes and labels out",
    "sensitivity": "what each format would cost each layer of a model",
    "prove": "that an accumulator, or an intermediate of a nonlinearity, cannot overflow",
    "allocate": "choose a format for every layer within budgets",
    "doctor": "versions, processor, caches and the optional packages found",
}
"""Verb -> what it does. Each is the module of the same name in this package."""

COMPILING = frozenset({"check", "dequantize", "evaluate", "quantize", "run", "sensitivity"})
"""Verbs whose first run compiles for long, which is said."""

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What the system says when output cannot be written, which is not a bug in lowbit."""

COLOR_MODES = ("auto", "always", "never")


class Parser(ArgumentParser):
    """An argument parser whose complaints are rendered like every other error of lowbit; it takes no abbreviations."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        lacking = [
            f"{action.metavar} is one of {', '.join(action.choices)}; "
            for action in self._actions
            if action.choices and message.endswith(f"required: {action.metavar}")
        ]
        raise UsageError(message, hint=f"{''.join(lacking)}`{self.prog} --help` says what it takes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is an :class:`ExitCode`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    color, debug = _early_options(words)
    open_closed_streams()
    try:
        status = _run(words)
        sys.stdout.flush()
    except LowbitError as error:
        _render(error, color)
        return _status(error)
    except BrokenPipeError:
        drop(sys.stdout)
        return ExitCode.BROKEN_PIPE
    except KeyboardInterrupt as error:
        write_error("\n" + ": ".join(["interrupted", *map(str, error.args)]) + "\n")
        return ExitCode.INTERRUPTED
    except MemoryError as error:
        _render(LowbitError(f"there is not enough memory: {error}", code="LB103"), color)
        return ExitCode.USAGE
    except OSError as error:
        if error.errno not in NO_SPACE:
            return _report_bug(error, color, debug=debug)
        if not error.filename:
            drop(sys.stdout)
        place = error.filename or "standard output"
        _render(
            LowbitError(
                f"{place}: cannot be written: {error.strerror}", hint="make room for it, or open it", code="LB101"
            ),
            color,
        )
        return ExitCode.USAGE
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it is a bug in lowbit
        return _report_bug(error, color, debug=debug)
    return status


def _status(error: LowbitError) -> ExitCode:
    if isinstance(error, InfeasibleError):
        return ExitCode.INFEASIBLE
    return ExitCode.DEVICE if isinstance(error, DeviceError) else ExitCode.USAGE


def _run(words: list[str]) -> int:
    verb = _verb(words)
    refuse_old_spellings(verb, words)
    if verb and verb not in VERBS:
        close = get_close_matches(verb, list(VERBS), n=1)
        hint = f"did you mean `lowbit {close[0]}`? " if close else ""
        raise UsageError(f"unknown verb {verb!r}", hint=f"{hint}one of {', '.join(VERBS)}")
    parser, module = _build_parser(verb)
    if module is None:
        parser.parse_args(words or ["--help"])
        return ExitCode.EQUAL
    _refuse_unknown_options(verb, parser, words)
    arguments = parser.parse_args(words)
    refuse_lost_files(arguments)
    if verb not in COMPILING:
        return int(module.run(arguments))
    from lowbit.cli.progress import compilation_said

    with compilation_said():
        return int(module.run(arguments))


def _refuse_unknown_options(verb: str, parser: ArgumentParser, words: Sequence[str]) -> None:
    """Name an option that the verb does not have, before its value is taken for something else."""
    if verb == "explain":  # whose topics may be options
        return
    known = {name for option in option_actions(parser) for name in option.option_strings}
    for word in words[: words.index("--") if "--" in words else None]:
        name = word.partition("=")[0]
        if name.startswith("--") and name not in known:
            close = get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"`lowbit {verb}` has no option {name}", hint=f"{hint}`lowbit {verb} --help` lists them")


def option_actions(parser: ArgumentParser) -> list[Action]:
    """The arguments of a parser and of the parsers below it: verbs, and the actions of ``golden``."""
    actions = list(parser._actions)  # noqa: SLF001 - argparse has no public way to list them
    for action in parser._actions:  # noqa: SLF001
        children = action.choices.values() if isinstance(action.choices, dict) else ()
        actions += [inner for child in children if isinstance(child, ArgumentParser) for inner in option_actions(child)]
    return actions


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
    return (
        f"exit status:\n{codes}\n\n`lowbit VERB --help` says more about a verb. "
        f"Later releases bring {', '.join(LATER_VERBS)}."
    )


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
    page = Terminal(color, sys.stderr)
    more = f"`lowbit explain {error.code}` says more"
    hint = f"{error.hint}; {more}" if error.hint else more
    write_error(
        f"{page.paint(f'error[{error.code}]', 'bold', 'red')}: {_fit(error.message)}\n"
        f"{page.paint('help', 'bold', 'cyan')}: {_fit(hint)}\n"
    )


_LONG_WORD = re.compile(r"\S{400,}")


def _fit(text: str) -> str:
    """What somebody else has written neither steers the terminal nor fills it."""
    cut = _LONG_WORD.sub(lambda word: f"{word[0][:LONGEST_EXCERPT]}... ({len(word[0]):,} characters)", text)
    return printable(shortened(cut))


def _report_bug(error: Exception, color: str, *, debug: bool) -> int:
    if debug:
        import traceback

        write_error("".join(traceback.format_exception(error)))
    page = Terminal(color, sys.stderr)
    again = "" if debug else "; run it again with --debug for the traceback"
    write_error(
        f"{page.paint('error[LB900]', 'bold', 'red')}: internal error: {type(error).__name__}: {_fit(str(error))}\n"
        f"please report it with the command line and the output of `lowbit doctor`{again}\n"
    )
    return ExitCode.INTERNAL


__all__ = ["VERBS", "ExitCode", "Namespace", "main"]
