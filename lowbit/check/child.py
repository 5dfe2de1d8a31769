"""Start a process of lowbit's own beside this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def start_child(
    module: str, *arguments: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Run ``python -m module`` with this very lowbit importable."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, env=environment)
