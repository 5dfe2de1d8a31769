"""The arguments of each verb as argparse holds them."""

from argparse import _SubParsersAction
from functools import cache

from lowbit.cli import _build_parser
from lowbit.cli.file_options import FileOption


def own_actions(parser):
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for nested in action.choices.values():
                yield from own_actions(nested)
        else:
            yield action


@cache
def actions(verb):
    """Every argument of a verb, those of its actions too."""
    (verbs,) = (action for action in _build_parser(verb)[0]._actions if isinstance(action, _SubParsersAction))
    return list(own_actions(verbs.choices[verb]))


def file_actions(verb):
    """Those that are declared to name a file."""
    return [action for action in actions(verb) if isinstance(action.type, FileOption)]
