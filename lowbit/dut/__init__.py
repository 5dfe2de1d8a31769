"""How to reach a device under test: a compiled function, a Python function, a file of results, an installed library.

Every device takes an array of codes of its source format and returns an array of codes of its target format, so
that the checker compares bits and never decoded values. Users' code runs in a process of its own.
"""
