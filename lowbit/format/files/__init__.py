"""Reads the files of ``formats/``: TOML in, checked :class:`lowbit.format.scalar.Format` objects out.

:mod:`lowbit.format.registry` decides which file to read; nothing else needs this package.
"""
