"""Running the command line within the test process."""

import json

import pytest

from lowbit.cli import main


class Result:
    """Exit status and both streams of one run."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = int(status), out, err

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def lowbit(capsys, monkeypatch):
    """``lowbit("show", "int4")`` runs the verb, in a wide terminal, and returns a Result."""
    monkeypatch.setenv("COLUMNS", "1000")

    def run(*words):
        capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as leave:  # --help and --version
            status = leave.code or 0
        streams = capsys.readouterr()
        return Result(status, streams.out, streams.err)

    return run
