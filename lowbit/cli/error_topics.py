"""What each error code means and how to mend it, for ``lowbit explain``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ERROR_TOPICS: Mapping[str, str] = MappingProxyType(
    {
        "LB000": "An error without a code of its own; the message says what it is.",
        "LB100": (
            "The command line was not understood: an unknown verb, an unknown option, or a missing argument. "
            "`lowbit --help` lists the verbs, `lowbit VERB --help` the options of one."
        ),
        "LB101": (
            "The output could not be written: the disk is full, or the directory of the file that -o names does not "
            "exist or may not be written to. lowbit makes no directories for a file."
        ),
        "LB200": (
            "A format specification contradicts itself or cannot be read: fields that overlap or leave a gap, "
            "special values that clash, stated facts that do not follow from the fields, or a file that is no "
            "valid TOML. The message names the file and the figure; formats/README.md describes every key."
        ),
        "LB201": (
            "No format has this name. `lowbit formats` lists them with their other names; members of a family are "
            "spelled int4, uint8, int8_narrow, q4.4, binary8p4se. A parameter out of its range is the same error. "
            "A format of your own is added by $LOWBIT_FORMATS, a directory of TOML files, or by "
            "lowbit.load_format(path)."
        ),
        "LB202": (
            "A format name fits several formats, which the message lists with the figures that tell them apart. "
            "Bare names such as `e4m3` are ambiguous on purpose: OCP's ends at 448 without infinities, the IEEE "
            "style at 240 with them, and FNUZ at 240 without -0. Write the full id."
        ),
        "LB300": (
            "A policy or an axis of one is unknown or contradictory, or a stochastic rounding lacks its random "
            "bits. `lowbit explain presets` lists the presets and `lowbit explain axes` every axis with its "
            "choices."
        ),
        "LB400": (
            "An array has the wrong dtype, shape or range, a code is not one of its format's, or a value is "
            "refused by a policy axis set to `error`. The message says which value and where it stands."
        ),
        "LB410": (
            "The result would not be exact in the dtype asked for: decode into a wider one, or use `decode_exact`."
        ),
        "LB500": (
            "A vector file or a manifest is damaged, truncated or of another version. `lowbit golden verify` "
            "checks the committed ones against their digests, `lowbit golden regen` writes them anew."
        ),
        "LB600": (
            "A device under test could not be reached or loaded: no such file, no such symbol, an import that failed. "
            "It runs in a process of its own. Exit status 4 stands for this and for LB601 to LB605."
        ),
        "LB601": (
            "The device under test ended its process: a crash in native code (segmentation fault, abort, division by "
            "zero) or a call of exit. The message gives the signal and the inputs it was working on."
        ),
        "LB602": (
            "The device under test did not answer in time. An endless loop is the usual cause; a slow kernel needs a "
            "longer time-out or a smaller set of vectors."
        ),
        "LB603": "The device under test raised a Python exception; its traceback follows the message.",
        "LB604": (
            "The device under test answered with the wrong number of rows, the wrong dtype, values that are no codes "
            "of the target, or wrote where it must not: past the end of its results or over its inputs."
        ),
        "LB605": "The device under test gives two answers to one input. A stochastic kernel needs fixed random bits.",
        "LB900": (
            "An internal error: a bug in lowbit. Please report it with the command line, the traceback that "
            "--debug shows, and the output of `lowbit doctor`."
        ),
    }
)
"""Error code -> what it means, a paragraph."""
