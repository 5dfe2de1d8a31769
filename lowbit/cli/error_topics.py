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
            "The output could not be written: the disk is full, or the directory of the file that --output names "
            "does not exist or may not be written to. lowbit makes no directories for a file."
        ),
        "LB102": (
            "A file that would be written is also one that is read, or another one that is written, perhaps under "
            "another name (a link, ./x for x): writing it would lose what is there. Nothing was read or written; name "
            "another file. Devices, pipes and standard output may be named twice."
        ),
        "LB103": (
            "There is not enough memory for what was asked for, or a file announces more than there can be. Ask for "
            "less (--n), or look at the file that the command line names."
        ),
        "LB200": (
            "A format specification contradicts itself or cannot be read: fields that overlap or leave a gap, "
            "special values that clash, stated facts that do not follow from the fields, or a file that is not "
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
            "refused by a policy axis set to `error`. The message says which value and where it stands. Codes are "
            "integers in the format's container, not values: encode values first, as in "
            "`lowbit.encode(x, 'float8_e4m3fn')`, and unpack packed codes by `lowbit.unpack`. Signed integers are "
            "codes from -8 to 7 for int4, not 0 to 15."
        ),
        "LB410": (
            "The result would not be exact in the dtype asked for: decode into a wider one, or use `decode_exact`."
        ),
        "LB420": (
            "An intermediate of an integer-only operation left its declared width under overflow='trap'. The message "
            "names the row, the element and its code, the intermediate, its value and its width; the exception has "
            "them as attributes row, element, name, value and bits. overflow='wrap' computes on as a register of that "
            "width would, overflow='saturate' clamps."
        ),
        "LB500": (
            "A vector file or a manifest is damaged, truncated or of another version. `lowbit golden verify` "
            "checks the committed ones against their digests, `lowbit golden regen` writes them anew."
        ),
        "LB600": (
            "A device under test failed in a way that has no code of its own; the message says how. A device runs in a "
            "process of its own. Exit status 4 stands for this and for LB601 to LB605."
        ),
        "LB601": (
            "The device under test ended its process: a crash in native code (segmentation fault, abort, division by "
            "zero) or a call of exit. The message gives the signal and, where it can be found, the one input that does "
            "it. Run that input alone under a debugger, or compile with -g -fsanitize=address. A crash on any input "
            "often means another prototype than `void f(const source_t *in, target_t *out, size_t n)`: "
            "`lowbit explain so` lists the element types."
        ),
        "LB602": (
            "The device under test did not answer in time. An endless loop is the usual cause; a slow kernel needs a "
            "longer time-out (--timeout SECONDS, for 1,048,576 rows) or fewer rows (--set random --n ROWS)."
        ),
        "LB603": (
            "The device under test raised a Python exception; its traceback follows the message, your lines only. The "
            "function is called with a one-dimensional NumPy array of codes (uint32 for float32: "
            "`codes.view(numpy.float32)` gives values), or of values with --values, and with 1, 3, 17 and many rows. "
            "Mend the line that the traceback ends with; `lowbit explain python` says what is given and expected."
        ),
        "LB604": (
            "The device under test answered with the wrong number of rows, the wrong dtype, or (under --values) values "
            "that the target lacks, or it wrote where it must not: past the end of its results, over its inputs, into "
            "a socket of lowbit's, or not at all. Usual causes: an element type that is wider than the container "
            "(uint32_t for uint8_t), and a vector loop whose tail is not masked; `lowbit explain so` and `lowbit "
            "explain python` say what is expected. A number that fits the container but is not a code (0x80 for "
            "float4_e2m1fn) is compared and counts as a difference, and so does a result that a memory "
            "file (.hex) has no word for."
        ),
        "LB605": (
            "The device under test gives two answers to one input. A stochastic kernel needs fixed random bits. A "
            "kernel of matrices is called twice with other bytes around its operands and in its results: one that adds "
            "to what the results held, or reads past the end of an operand, is told so here."
        ),
        "LB606": (
            "A device under test cannot be loaded: no such file, symbol, module or function, or a file of results that "
            "cannot be read. Exit status 2. For a C function write --so ./cast.so:cast, compile it by "
            '`cc -O2 -shared -fPIC`, and declare it extern "C" in C++ (`nm -D cast.so` lists its symbols); for Python '
            "write --python package.module:function, found from the current directory, or --python ./file.py:function."
        ),
        "LB700": (
            "A bit-allocation problem contradicts itself, or a file of costs cannot be read: NaN or negative costs, an "
            "empty list of choices, tied layers without a common choice, rows of the wrong length, unknown fields. The "
            "message names the layer, the choice and the value; docs/how-to/allocate-bits.md describes the file."
        ),
        "LB701": (
            "No plan keeps all budgets (exit status 6). The message says for every budget that is too small what it "
            "would have to be at least while the other limits stay; `--budget NAME=LIMIT` sets another."
        ),
        "LB702": (
            "The time limit ended before any plan within the budgets was found, and none was proven impossible. Give "
            "--time-limit more seconds, loosen a budget, or begin with an earlier plan (--warm-start)."
        ),
        "LB900": (
            "An internal error: a bug in lowbit. Please report it with the command line, the traceback that "
            "--debug shows, and the output of `lowbit doctor`."
        ),
    }
)
"""Error code -> what it means, a paragraph."""
