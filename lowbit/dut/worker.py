"""The process that a user's kernel runs in, so that a crash or a hang takes nothing else with it.

Started by path, not by module name, and standard library only until a Python device is loaded: it is up in some
tens of milliseconds, which makes it cheap to start it again and again while bisecting a crash. Requests and
replies are JSON lines over a socket; rows travel through memory that both processes map.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import math
import mmap
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Request = dict[str, Any]
Runner = Callable[[Request], Request]


class LoadError(Exception):
    """The device is not there: no such file, symbol, module or function."""


C_TYPES: dict[str, Any] = {
    "pointer": ctypes.c_void_p,
    "size_t": ctypes.c_size_t,
    "int32": ctypes.c_int32,
    "int64": ctypes.c_int64,
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}
CAST = ("pointer", "pointer", "size_t")
"""Parameters of ``void f(const source_t *in, target_t *out, size_t n)``."""


def load_symbol(path: str, symbol: str, types: Sequence[str] = CAST) -> Any:
    """The C function ``void symbol(...)`` of a shared object, with parameters of these ``C_TYPES``."""
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise LoadError(f"{path} cannot be loaded as a shared object: {error}") from error
    try:
        function = library[symbol]
    except AttributeError as error:
        raise LoadError(f"{path} has no symbol {symbol!r}: {error}") from error
    function.argtypes = tuple(C_TYPES[name] for name in types)
    function.restype = None
    return function


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
        result = np.asarray(function(*map(array, request["arrays"]), *request["scalars"]))
        answer: Request = {"dtype": result.dtype.name, "shape": list(result.shape), "kind": result.dtype.kind}
        if result.dtype.kind == "O":
            return answer
        data = np.ascontiguousarray(result).view(np.uint8).reshape(-1)
        room = min(data.size, request["room"])
        memory[request["output"] : request["output"] + room] = data[:room].tobytes()
        answer["itemsize"] = result.dtype.itemsize
        return answer

    return run


RUNNERS = {"shared_object": shared_object_runner, "python": python_runner}


def serve(connection: socket.socket, memory: mmap.mmap) -> None:
    """Answer requests until the other side closes the socket."""
    runner: Runner | None = None
    for line in connection.makefile("r", encoding="utf-8"):
        request = json.loads(line)
        try:
            if runner is None:
                runner, reply = RUNNERS[request["kind"]](memory, request), {}
            else:
                reply = runner(request)
        except LoadError as error:
            reply = {"missing": str(error)}
        except Exception:  # noqa: BLE001  the user's code may raise anything; the other side reports it
            reply = {"raised": _user_traceback()}
        sys.stdout.flush()
        connection.sendall(json.dumps(reply).encode() + b"\n")


def _user_traceback() -> str:
    """The traceback without the frames of this file."""
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return "".join(traceback.format_exception(kind, error, trace))


def end_with_parent(lifeline: int) -> None:
    """End this process, whatever it is doing, and the processes it started, once the other end of a pipe is closed."""
    os.read(lifeline, 1)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


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
    threading.Thread(target=end_with_parent, args=(lifeline,), daemon=True).start()
    with socket.socket(fileno=control) as connection:
        serve(connection, mmap.mmap(shared, size))
    os._exit(0)  # a device may have left threads or exit handlers that never end


if __name__ == "__main__":
    main()
