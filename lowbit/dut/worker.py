"""The process that a user's kernel runs in, so that a crash or a hang takes nothing else with it.

Started by path, not by module name, and standard library only until a Python device is loaded: it is up in some
tens of milliseconds, which makes it cheap to start it again and again while bisecting a crash. Requests and
replies are JSON lines over a socket; rows travel through memory that both processes map.

There are two processes: the kernel runs in the worker, and a supervisor above it ends whatever the kernel started.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import math
import mmap
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

Request = dict[str, Any]
Runner = Callable[[Request], Request]


SET_PARENT_DEATH_SIGNAL, SET_CHILD_SUBREAPER = 1, 36
"""Options of prctl(2) in Linux: <linux/prctl.h>, PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER."""
SOCKET_LOST = 96
"""Exit status of a worker whose kernel closed the socket."""
LONGEST_TRACEBACK = 1 << 20
"""Characters, the last ones, of what is reported."""
CLEAN_UP_SECONDS = 5.0
"""How long the supervisor tries to end processes that a kernel left behind."""


class LoadError(Exception):
    """The device is not there: no such file, symbol, module or function; and how to mend that."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


COMPILERS = {
    ".c": "cc -O2 -shared -fPIC",
    ".cc": "c++ -O2 -shared -fPIC",
    ".cpp": "c++ -O2 -shared -fPIC",
    ".cxx": "c++ -O2 -shared -fPIC",
    ".cu": "nvcc -shared -Xcompiler -fPIC",
    ".o": "cc -shared",
}
"""Ending of a file that is not a shared object yet -> what makes one of it."""


C_TYPES: dict[str, Any] = {
    "pointer": ctypes.c_void_p,
    "size_t": ctypes.c_size_t,
    "int32": ctypes.c_int32,
    "int64": ctypes.c_int64,
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}


def load_symbol(path: str, symbol: str, types: Sequence[str]) -> Any:
    """The C function ``void symbol(...)`` of a shared object, with parameters of these ``C_TYPES``."""
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise LoadError(f"{path} cannot be loaded as a shared object: {reason}", _how_to_link(Path(path))) from error
    try:
        function = library[symbol]
    except AttributeError as error:
        raise LoadError(f"{path} has no symbol {symbol!r}", _how_to_export(path, symbol)) from error
    function.argtypes = tuple(C_TYPES[name] for name in types)
    function.restype = None
    return function


def _how_to_link(path: Path) -> str:
    if path.suffix in COMPILERS:
        return f"compile it first: {COMPILERS[path.suffix]} -o {path.stem}.so {path.name}"
    return f"cc -O2 -shared -fPIC -o cast.so cast.c makes one; `ldd {path}` says what it needs and does not find"


def _how_to_export(path: str, symbol: str) -> str:
    """What to do about a symbol that is missing: C++ calls a function by its length, its name and its parameters."""
    mangled = rf"_Z(?:N[0-9A-Za-z_]*?)?{len(symbol)}{re.escape(symbol)}[0-9A-Za-z_]*"
    found = re.search(mangled.encode(), Path(path).read_bytes())
    if found:
        return f'it has {found[0].decode()}, which is {symbol} in C++ or CUDA: declare it extern "C"'
    return f"`nm -D --defined-only {path}` lists those that it exports; a static function is not exported"


def load_function(module: str, name: str) -> Any:
    """A Python callable from ``module`` (dotted name, or path of a .py file) by its dotted name."""
    try:
        loaded = _load_file(module) if module.endswith(".py") else importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise LoadError(f"module {module!r} cannot be imported: {error}") from error
    function: Any = loaded
    for part in name.split("."):
        if not hasattr(function, part):
            raise LoadError(f"{module} has no function {name!r}")
        function = getattr(function, part)
    if not callable(function):
        raise LoadError(f"{module}:{name} is not callable but {type(function).__name__}")
    return function


def _load_file(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("lowbit_device", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise LoadError(f"{path} is not a Python file that can be read")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def shared_object_runner(memory: mmap.mmap, request: Request) -> Runner:
    """Calls the C function; pointers are given as places in the shared memory, so that nothing is copied."""
    types = request["types"]
    function = load_symbol(request["path"], request["symbol"], types)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))

    def run(request: Request) -> Request:
        given = zip(types, request["arguments"], strict=True)
        function(*(base + value if name == "pointer" else value for name, value in given))
        return {}

    return run


def python_runner(memory: mmap.mmap, request: Request) -> Runner:
    """Calls the Python function on copies of the arrays and writes what it returns into the shared memory."""
    import numpy as np

    sys.path.insert(0, str(Path.cwd()))
    function = load_function(request["path"], request["symbol"])

    def array(given: Request) -> Any:
        count = math.prod(given["shape"])
        return np.frombuffer(memory, given["dtype"], count, given["at"]).reshape(given["shape"]).copy()

    def run(request: Request) -> Request:
        returned = function(*map(array, request["arrays"]), *request["scalars"])
        parts = _several(returned, request["results"]) if request["results"] else [returned]
        if isinstance(parts, str):
            return {"returned": parts}
        place, end, answers = request["output"], request["output"] + request["room"], []
        for result in map(np.asarray, parts):
            answer: Request = {"dtype": result.dtype.name, "shape": list(result.shape), "kind": result.dtype.kind}
            if result.dtype.kind != "O":
                native = result.astype(result.dtype.newbyteorder("="), copy=False)
                data = np.ascontiguousarray(native).reshape(-1).view(np.uint8)
                room = min(data.size, end - place)
                memory[place : place + room] = data[:room].tobytes()
                answer |= {"itemsize": result.dtype.itemsize, "at": place}
                place += room
            answers.append(answer)
        return {"results": answers}

    return run


def _several(returned: Any, names: Sequence[str]) -> list[Any] | str:
    """Several results in order, out of a tuple or a dict; or what was returned instead, in words."""
    if isinstance(returned, Mapping):
        known = set(map(str, returned))
        return [returned[name] for name in names] if known == set(names) else f"a dict of {', '.join(sorted(known))}"
    if not isinstance(returned, (tuple, list)):
        return f"one {type(returned).__name__}"
    return list(returned) if len(returned) == len(names) else f"{len(returned)} results"


RUNNERS = {"shared_object": shared_object_runner, "python": python_runner}


def load_runner(memory: mmap.mmap, request: Request) -> Runner:
    """What answers the requests that follow: a call of the kernel each, or what ``within`` names makes of that."""
    runner = RUNNERS[request["kind"]](memory, request)
    if "within" not in request:
        return runner
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    within: Runner = load_function(*request["within"])(memory, runner, request)
    return within


def serve(connection: socket.socket, memory: mmap.mmap) -> None:
    """Answer requests, each with the token that it came with, until the other side closes the socket."""
    runner: Runner | None = None
    worker = os.getpid()
    for line in connection.makefile("r", encoding="utf-8"):
        request = json.loads(line)
        try:
            if runner is None:
                runner, reply = load_runner(memory, request), {}
            else:
                reply = runner(request)
        except LoadError as error:
            reply = {"missing": str(error), "hint": error.hint}
        except (Exception, KeyboardInterrupt):  # noqa: BLE001  whatever the user's code raises, the other side reports
            reply = {"raised": _user_traceback()[-LONGEST_TRACEBACK:]}
        if os.getpid() != worker:
            os._exit(0)  # the kernel forked, and this is the copy of the worker: nobody asked it
        with suppress(OSError):  # nobody may read what the kernel prints
            sys.stdout.flush()
        connection.sendall(json.dumps({**reply, "token": request["token"]}).encode() + b"\n")


def _user_traceback() -> str:
    """The traceback without the frames of this file."""
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return "".join(traceback.format_exception(kind, error, trace))


def supervise(worker: int, lifeline: int) -> NoReturn:
    """Wait for the worker to end, end what its kernel started, and end as the worker did."""
    threading.Thread(target=end_with_parent, args=(worker, lifeline), daemon=True).start()
    status = None
    while status is None:
        process, ended = os.wait()  # the worker, or an orphan of a process that the kernel started
        status = os.waitstatus_to_exitcode(ended) if process == worker else None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    end_children()
    if status < 0:
        with suppress(OSError):  # the two signals that cannot be handled
            signal.signal(-status, signal.SIG_DFL)
        signal.raise_signal(-status)
    os._exit(max(status, 0))


def end_with_parent(worker: int, lifeline: int) -> None:
    """End the worker, whatever it is doing, once the other end of a pipe is closed."""
    os.read(lifeline, 1)
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)


def end_children() -> None:
    """End the children of this process and, as their orphans become its children, all that they started."""
    deadline = time.monotonic() + CLEAN_UP_SECONDS
    with suppress(ChildProcessError):  # none is left
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
            for child in _children():
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.001)


def _children() -> list[int]:
    """The processes that have this one as their parent, by the fourth field of /proc/PID/stat, proc_pid_stat(5)."""
    children = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended since
            fields = (directory / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[1]) == os.getpid():
                children.append(int(directory.name))
    return children


def work(control: int, shared: int, size: int) -> NoReturn:
    """Load the kernel and run it on request."""
    for descriptor in (control, shared):
        os.set_inheritable(descriptor, False)  # what the kernel starts has no business with them
    memory = mmap.mmap(shared, size)
    if hasattr(mmap, "MADV_DONTFORK"):
        memory.madvise(mmap.MADV_DONTFORK)  # a fork must not write into the results of a later call
    try:
        with socket.socket(fileno=control) as connection:
            serve(connection, memory)
    except OSError:
        os._exit(SOCKET_LOST)
    os._exit(0)  # a kernel may have left threads or exit handlers that never end


def _control_process(option: int, value: int) -> None:
    """Call prctl(2), on systems that have it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> None:
    """Arguments: descriptors of the socket, of the memory and of the pipe to watch, the size of the memory in bytes."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass
    control, shared, lifeline, size = (int(argument) for argument in sys.argv[1:5])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where the parent ignores it, children end without a trace
    _control_process(SET_CHILD_SUBREAPER, 1)
    worker = os.fork()
    if worker:
        os.close(control)
        os.close(shared)
        supervise(worker, lifeline)
    _control_process(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is the kernel's own: those of a terminal go to the group above
    os.close(lifeline)
    work(control, shared, size)


if __name__ == "__main__":
    main()
