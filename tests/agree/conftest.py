"""The oracle over arrays, and the kernels as plain Python: two of the three runs that must agree."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.oracle import decode as oracle_decode
from lowbit.oracle import encode as oracle_encode
from tests import uncompiled

decoded = lru_cache(maxsize=1 << 18)(oracle_decode)
"""All codes of the two 16-bit sources are asked for once a target."""


def run_oracle(codes, source, target, policy, random=None):
    """Codes, flags, and masks of the inputs that saturate and that the policy refuses, one oracle call an element."""
    source, target = get_format(source), get_format(target)
    out = np.zeros(len(codes), dtype=target.code_dtype)
    flags = np.zeros(len(codes), dtype=np.uint8)
    saturated, refused = np.zeros(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
    draws = [0] * len(codes) if random is None else np.asarray(random).tolist()
    for index, (code, draw) in enumerate(zip(np.asarray(codes).tolist(), draws, strict=True)):
        try:
            result = oracle_encode(decoded(code, source), target, policy, source=source, random=draw)
        except InputError:
            refused[index] = True
            continue
        out[index], flags[index], saturated[index] = result.code, result.flags, result.saturated
    return out, flags, saturated, refused


def describe(where, codes, source, target, policy, got, expected, random=None):
    """The first differences, in words, for an assertion's message."""
    lines = [f"{source} -> {target}, {len(where)} differ, {policy}"]
    for index in where[:5]:
        code = int(codes[index])
        value = oracle_decode(code, get_format(source))
        draw = "" if random is None else f" R={int(random[index])}"
        lines.append(f"  {code:#x} ({value}){draw}: got {int(got[index]):#x}, oracle {int(expected[index]):#x}")
    return "\n".join(lines)


def require_equal(codes, source, target, policy, random=None):
    """The compiled cast and the oracle give the same codes, flags and refusals, and as many saturated results."""
    from lowbit.ops.cast.cast import convert

    expected, expected_flags, saturated, refused = run_oracle(codes, source, target, policy, random)
    options = {} if random is None else {"random_bits": np.asarray(random)[~refused]}
    if refused.any():
        every = {} if random is None else {"random_bits": random}
        with pytest.raises(InputError):
            convert(codes, source, target, policy=policy, **every)
    kept = np.asarray(codes)[~refused]
    draws = None if random is None else np.asarray(random)[~refused]
    expected, expected_flags = expected[~refused], expected_flags[~refused]
    got = convert(kept, source, target, policy=policy, **options)
    again, counts, flags = convert(
        kept, source, target, policy=policy, return_counts=True, return_flags=True, **options
    )
    for name, left, right in (
        ("codes", got, expected),
        ("codes beside flags", again, expected),
        ("flags", flags, expected_flags),
    ):
        where = np.flatnonzero(left != right)
        assert where.size == 0, f"{name}: {describe(where, kept, source, target, policy, left, right, draws)}"
    if not policy.defects:
        assert counts["saturated"] == np.count_nonzero(saturated & ~refused), (source, target, policy)


@pytest.fixture(scope="session")
def agree():
    """``agree(codes, source, target, policy, random=None)`` compares the compiled cast with the oracle."""
    return require_equal


@pytest.fixture(scope="session")
def oracle_codes():
    """``oracle_codes(codes, source, target, policy, random=None)`` gives codes, flags, what saturated and refusals."""
    return run_oracle


class Checked(int):
    """An integer that fails where a signed 64-bit register would overflow or a shift count would be undefined."""

    def __new__(cls, value):
        if not -(1 << 63) <= value < 1 << 63:
            raise AssertionError(f"{value:#x} needs more than 64 bits")
        return super().__new__(cls, value)

    def bit_length(self):
        assert self >= 0
        return Checked(int(self).bit_length())


def _checked_operator(name):
    plain = getattr(int, name)
    shift = "shift" in name

    def operate(self, *others):
        if shift:
            count = int(self) if name.startswith("__r") and name != "__rshift__" else int(others[0])
            assert 0 <= count < 64, f"shift by {count}"
        result = plain(self, *others)
        return result if result is NotImplemented else Checked(result)

    return operate


_BINARY = ("add", "sub", "mul", "and", "or", "xor", "lshift", "rshift")
for _name in [f"__{side}{name}__" for name in _BINARY for side in ("", "r")] + ["__neg__", "__invert__"]:
    setattr(Checked, _name, _checked_operator(_name))


@pytest.fixture(scope="session")
def checked():
    """The integer type that asserts what int64 assumes."""
    return Checked


@pytest.fixture(scope="session")
def python_kernels():
    """The kernels of casts, uncompiled: (project, cast)."""
    return tuple(uncompiled.load("cast.project", "cast.cast"))
