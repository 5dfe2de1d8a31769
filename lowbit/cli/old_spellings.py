"""Spellings of earlier and of later releases: each is refused, and what stands in its place is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lowbit.errors import UsageError

OLD_VERBS: Mapping[str, str] = {"audit": "prove"}
"""Old verb -> the verb that does its work."""

LATER_VERBS: Mapping[str, str] = {
    "conformance": "a report on a product over all operations; `lowbit check` compares one at a time",
}
"""Verb of a later release -> what it will do, and what does some of it now."""

OLD_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "": {"--format": "--output-format"},
    "allocate": {"--method": "--solver", "--plan": "--output"},
    "check": {"--kernel": "--library", "--result": "--to"},
    "gen": {"--result": "--to"},
    "prove": {"--inputs": "--from", "--bits": "--to"},
}
"""Verb ("" for every verb) -> its old options, each with the new one."""


OLD_TOPICS: Mapping[str, str] = {"devices": "kernels"}
"""Old topic of ``lowbit explain`` -> the new one."""


def refuse_old_spellings(verb: str, words: Sequence[str]) -> None:
    """Refuse a verb or an option of an earlier release.

    Raises UsageError: one is among the words, or the verb is of a later release.
    """
    if verb in LATER_VERBS:
        raise UsageError(f"`lowbit {verb}` comes with a later release", hint=LATER_VERBS[verb])
    if verb in OLD_VERBS:
        new = OLD_VERBS[verb]
        rest = " ".join(words[words.index(verb) + 1 :][:1]) or "OPERATION"
        raise UsageError(f"`lowbit {verb}` is now `lowbit {new}`", hint=f"lowbit {new} {rest} ...")
    renamed = {**OLD_OPTIONS[""], **OLD_OPTIONS.get(verb, {})}
    for word in words:
        option, equals, value = word.partition("=")
        if option in renamed:
            new = renamed[option]
            raise UsageError(f"{option} is now {new}", hint=f"`lowbit {verb} ... {new}{equals}{value}`")
