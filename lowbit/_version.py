"""The version, once: pyproject.toml and ``lowbit.__version__`` both read it here."""

__version__ = "0.1.0"
