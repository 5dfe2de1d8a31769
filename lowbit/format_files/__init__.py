"""Reads the files of ``formats/``: TOML in, checked :class:`lowbit.spec.Format` objects out.

:mod:`lowbit.registry` decides which file to read; nothing else needs this package.
"""
