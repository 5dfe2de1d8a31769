"""The kinds of devices that a user can name: options of the command line, topics of ``lowbit explain``.

A new kind is a file with its class and a row of ``_KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowbit.dut.device import NamedDevice
    from lowbit.dut.prototype import Prototype
    from lowbit.vectors.case import Case


@dataclass(frozen=True)
class Question:
    """What a device is going to be asked."""

    prototype: Prototype
    cases: Sequence[Case]  # all of them, in order
    timeout: float = 60.0  # seconds that one call may take
    values: bool = False  # whether a Python function takes and returns values


@dataclass(frozen=True)
class Kind:
    """A kind of device."""

    option: str  # ``so``: the device is named by ``--so``
    # metavar, help: of the option
    metavar: str
    help: str
    what: str  # what messages call the file
    topic: str  # what the device has to be, a paragraph
    make: Callable[[str, Question], NamedDevice]  # (name, question) -> the device
    file_of: Callable[[str], str] = str  # the file in the name of a device


def _shared_object(name: str, question: Question) -> NamedDevice:
    from lowbit.dut.shared_object import SharedObjectDevice

    return SharedObjectDevice(name, question.prototype, timeout=question.timeout)


def _python(name: str, question: Question) -> NamedDevice:
    from lowbit.dut.python import PythonDevice

    return PythonDevice(name, question.prototype, values=question.values, timeout=question.timeout)


def _results(name: str, question: Question) -> NamedDevice:
    if len(question.prototype.outputs) > 1:
        from lowbit.dut.results_archive import ResultsArchive

        return ResultsArchive(name, question.prototype, question.cases)
    from lowbit.dut.results import ResultsFile

    return ResultsFile(name, question.prototype.result, question.cases)


def _before_colon(text: str) -> str:
    """The file of ``FILE:SYMBOL``."""
    return text.rpartition(":")[0]


def _python_file(text: str) -> str:
    """The file of ``FILE.py:FUNCTION`` or ``package.module:FUNCTION``, from the current directory."""
    module = _before_colon(text)
    return module if module.endswith(".py") or "/" in module else f"{module.replace('.', '/')}.py"


CONTAINERS = (
    "Element types, code in the low bits: uint8_t for floats and unsigned integers up to 8 bits (one code an element, "
    "never packed; the other bits are 0), uint16_t for 9 to 16 bits, uint32_t for float32 (its bits; a C function may "
    "take float *) and tf32 (a 19-bit code), uint64_t for float64; signed integers and fixed point sign-extended in "
    "int8_t, int16_t, int32_t or int64_t."
)
_SHARED_OBJECT = (
    "--so FILE:SYMBOL: a C function `void f(const source_t *in, target_t *out, size_t n)` in a shared object; "
    "float32 to float8_e4m3fn is `void cast(const uint32_t *, uint8_t *, size_t)`. Compile it by `cc -O2 -shared "
    "-fPIC -o cast.so cast.c`. It runs in a process of its own, is called with 1, 3, 17, 31 and many rows, and must "
    "write exactly n results. What it prints goes to standard error; processes that it starts end with the check. "
    "Matrices lie row by row, a is m by k, b is k by n, c is m by n; --zero-points adds `int32_t a_zero_point, "
    "int32_t b_zero_point` at the end. multiplier and shift of requantize are in the convention of --scheme; schemes "
    "that multiply by the scale itself have `float scale`, or `double scale`, in place of both. linear has them for "
    "each column, after a, b and the bias, as `const int32_t *multiplier, const int32_t *shift`, or `const double "
    "*scale`; then c, m, n, k, `int32_t a_zero_point, int32_t zero_point`. conv is like it: a has height, width and "
    "channels of an image, b outputs, rows, columns and channels, c out_height, out_width and outputs; `above` and "
    "`left` say how far windows begin outside of the image, where codes are a_zero_point. Calls that are not large are "
    "made twice, with other bytes around the operands and in the results."
)
_PYTHON = (
    "--python MODULE:FUNCTION (or FILE.py:FUNCTION): a function that takes a NumPy array of codes and returns as "
    "many: integers of any dtype, or a dtype of ml_dtypes. With --values it takes and returns values (float16, "
    "float32 or float64). gemm: `f(a, b)`, two-dimensional arrays of codes, or `f(a, b, a_zero_point, b_zero_point)` "
    "with --zero-points; it returns integers of shape (m, n). requantize: `f(accumulators, multiplier, shift, "
    "zero_point)` or `f(accumulators, scale, zero_point)`, which returns as many codes. linear: `f(a, b, bias, "
    "multiplier, shift, a_zero_point, zero_point)`, or with scale in place of both; conv has its own scalars before "
    "the zero points, and returns (out_height, out_width, outputs). quantize: `f(values)`, a float32 array of two "
    "axes, which returns a tuple or a dict of codes and the scales of each field."
)
_RESULTS = (
    "--results FILE: what a simulator or a machine elsewhere answered, in the order of the inputs: .hex, .txt and .mem "
    "(hexadecimal codes as $writememh writes them, `@address` lines and comments included: row 0 is at address 0, and "
    "a result that has no word, or one with x or z, is a difference), .npy (a vector of integers), .bin "
    "(little-endian containers). The inputs are those of --set, --n and --seed, or of --inputs FILE; `lowbit gen` "
    "writes them. gemm: the results of all cases in order, each row by row, in int32 (int64) containers; `lowbit gen "
    "gemm -o cases.npz` writes the matrices of all cases, `lowbit gen gemm -o dots.vec` dot products for --inputs "
    "dots.vec. requantize likewise."
)

_KINDS = (
    Kind(
        "so",
        "FILE:SYMBOL",
        "a C function in a shared object (`lowbit explain so`)",
        "the kernel",
        _SHARED_OBJECT,
        _shared_object,
        _before_colon,
    ),
    Kind(
        "python",
        "MODULE:FUNCTION",
        "a function over NumPy arrays",
        "the kernel",
        f"{_PYTHON} {CONTAINERS}",
        _python,
        _python_file,
    ),
    Kind(
        "results",
        "FILE",
        "results computed elsewhere (.hex .npy .bin), in order",
        "the file of results",
        f"{_RESULTS} {CONTAINERS}",
        _results,
    ),
)
KINDS: Mapping[str, Kind] = {kind.option: kind for kind in _KINDS}
"""Option -> the kind of device that it names."""
