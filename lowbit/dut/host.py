"""The parent of the worker process: start it, send it rows, notice when it dies, hangs or writes where it may not."""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.worker import SOCKET_LOST
from lowbit.errors import DeviceError, InputError

WORKER = Path(__file__).with_name("worker.py")
END_SECONDS = 10.0
"""How long a worker may take to end, with all that its kernel started."""
LEAST_START_SECONDS = 5.0
"""Loading is given as long as a chunk of rows, but no less than this: starting Python takes its time, too."""
POLL_SECONDS = 0.2
"""How often waiting for a reply is broken off to see whether it is still wanted."""
LONGEST_REPLY = 1 << 24
"""Bytes; what is longer does not come from the worker."""


class WorkerDied(DeviceError):
    """The worker process ended in the middle of a call."""


class Worker:
    """One worker process with memory shared between it and this one.

    ``load``: the first request: ``kind``, ``path`` and ``symbol`` of the device; ``size``: bytes of shared memory;
    ``name``: how errors call the device; ``timeout``: seconds that loading the device may take, at least
    ``LEAST_START_SECONDS``.
    """

    def __init__(self, load: dict[str, Any], size: int, name: str, timeout: float = 60.0) -> None:
        self.name = name
        self._start_seconds = max(timeout, LEAST_START_SECONDS)
        self._load = load
        self._descriptor = _memory_descriptor(size)
        self._size = size
        self.memory = mmap.mmap(self._descriptor, size)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._lifeline = -1
        self._received = bytearray()
        self.abandoned = False
        """Set from another thread, it makes the request under way and all later ones fail."""

    def start(self) -> None:
        """Start the process and load the device in it."""
        ours, theirs = socket.socketpair()
        # The other side watches the pipe, whose writing end only this process has: it closes however this one ends.
        watched, self._lifeline = os.pipe()
        descriptors = (theirs.fileno(), self._descriptor, watched)
        command = [sys.executable, str(WORKER), *map(str, descriptors), str(self._size)]
        self._process = subprocess.Popen(
            command, pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )
        theirs.close()
        os.close(watched)
        self._connection, self._received = ours, bytearray()
        self.request(self._load, timeout=self._start_seconds, what="while it was loaded")

    def request(self, message: dict[str, Any], *, timeout: float, what: str) -> dict[str, Any]:
        """Send one request and wait for the reply.

        Raises InputError: the device does not exist; DeviceError: the process died, did not answer in time, or the
        user's code raised.
        """
        if self._connection is None:
            self.start()
        assert self._connection is not None
        deadline = time.monotonic() + timeout
        token = os.urandom(8).hex()
        try:
            self._connection.sendall(json.dumps({**message, "token": token}).encode() + b"\n")
            reply = _parsed(self._receive_line(deadline))
        except TimeoutError:
            self.stop()
            raise DeviceError(
                f"{self.name} did not answer within {timeout:g} s {what}",
                hint="it may hang; if it is merely slow, give it longer with --timeout",
                code="LB602",
            ) from None
        except (ConnectionError, EOFError):
            raise WorkerDied(f"{self.name} {self._obituary()} {what}", code="LB601") from None
        except InterruptedError:
            self.stop()
            raise DeviceError(f"{self.name} was stopped {what}") from None
        if reply.get("token") != token:
            self.stop()
            raise DeviceError(
                f"{self.name} wrote to the socket through which lowbit talks to its process, {what}",
                hint="a kernel may write to its standard output and standard error, and to files that it opened",
                code="LB604",
            )
        if "missing" in reply:
            self.stop()
            hint = reply["hint"] or "a kernel is ./file.so:symbol, or module:function or file.py:function in Python"
            raise InputError(reply["missing"], hint=hint, code=CANNOT_LOAD)
        if "raised" in reply:
            self.stop()
            raise DeviceError(f"{self.name} raised an exception {what}\n{reply['raised'].rstrip()}", code="LB603")
        return reply

    def _receive_line(self, deadline: float) -> bytes:
        assert self._connection is not None
        while b"\n" not in self._received:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            if self.abandoned:
                raise InterruptedError
            self._connection.settimeout(min(remaining, POLL_SECONDS))
            try:
                data = self._connection.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                raise EOFError
            self._received += data
            if len(self._received) > LONGEST_REPLY:
                return b""
        line, self._received = self._received.split(b"\n", 1)
        return bytes(line)

    def _obituary(self) -> str:
        """How the process ended, in words."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:  # it runs on without the socket
            code = SOCKET_LOST
        self.stop()
        if code == SOCKET_LOST:
            return "closed the socket through which lowbit talks to its process,"
        if code < 0:
            return f"crashed with {signal.Signals(-code).name} ({signal.strsignal(-code)})"
        return f"ended the process with exit code {code}"

    def stop(self) -> None:
        """End the process, if it runs, and all that it started; the next request starts another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._process is not None:
            try:
                self._process.wait(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """End the process and give the memory back."""
        self.stop()
        if self._descriptor >= 0:
            with suppress(BufferError):  # an array may still look at it; then it goes with the array
                self.memory.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()


def _parsed(line: bytes) -> dict[str, Any]:
    """A reply, empty where the line is something else."""
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return reply if isinstance(reply, dict) else {}


def _memory_descriptor(size: int) -> int:
    """A file descriptor of anonymous memory; of an unlinked temporary file where the system has none."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("lowbit")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
