"""The golden reference for low-bit numerics.

Every public name is loaded when it is first used (PEP 562), so that ``import lowbit`` costs next to nothing: NumPy
comes with the first array, Numba with the first kernel. The stub beside this file says which names there are, and which
module each comes from.
"""

import importlib

_LINES = (line.split() for line in __spec__.loader.get_data(f"{__file__}i").decode().splitlines())
_HOME_OF = {words[3]: words[1] for words in _LINES if words[:1] == ["from"]}

_ALIASES = {"PRESETS": "CAST_PRESETS"}
"""Names of before, which are not listed."""

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - strings, though the linter cannot see it


def __getattr__(name: str) -> object:
    if name in _ALIASES:
        return __getattr__(_ALIASES[name])
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lowbit' has no attribute {name!r}")
    home = _HOME_OF[name]
    value = (
        importlib.import_module(f"lowbit.{name}") if home == "lowbit" else getattr(importlib.import_module(home), name)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
