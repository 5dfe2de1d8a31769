"""Test vectors: directed and random generators, the ``.vec`` file format, the manifest and digests of ``golden/``."""
