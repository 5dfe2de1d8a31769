"""Nothing in lowbit/ writes a file but `lowbit.files.whole`, which writes it whole or not at all."""

import ast
from pathlib import Path

import pytest

import lowbit

PACKAGE = Path(lowbit.__file__).parent
HOME = "files/whole.py"

EXCEPTIONS = {
    (
        "quantizers/learned/descent.py",
        "np.savez(buffer, losses=np.array(current.losses), described=np.array(json.dumps(described)), **arrays)",
    ): "into memory",
    (
        "campaign/journal.py",
        "self._path.open('a', encoding='utf-8')",
    ): "a line a finished task; half a line is left out",
    ("cli/streams.py", "os.open(os.devnull, os.O_WRONLY)"): "the null device in place of a closed standard output",
    ("cli/gen_kernel.py", "np.savez(stream, **arrays)"): "into memory",
    ("cli/model_options.py", "Path(journal).unlink(missing_ok=True)"): "the journal of what is written by then",
    ("models/training/teacher_forcing.py", "TemporaryDirectory()"): "for a run that need not go on",
    (
        "models/training/teacher_forcing.py",
        "self._file(name, self.number - 1).unlink(missing_ok=True)",
    ): "what the next round of a module has, and more",
    ("check/installed.py", "TemporaryFile()"): "without a name, for a child's answers",
    ("files/arrays.py", "np.savez(content, **arrays)"): "into memory",
    ("files/arrays.py", "np.save(content, next(iter(arrays.values())))"): "into memory",
    ("files/npz.py", "ZipFile(path)"): "for reading",
    ("files/npz.py", "archive.open(name + _SUFFIX)"): "for reading",
    ("dut/host.py", "os.ftruncate(descriptor, size)"): "the size of that memory",
    ("dut/host.py", "tempfile.TemporaryFile()"): "without a name, for memory that two processes share",
    **dict.fromkeys(
        [
            ("kernels/_cache.py", "part.mkdir(mode=_OWN, exist_ok=True)"),
            ("kernels/_cache.py", "directory.mkdir(mode=_OWN, exist_ok=True)"),
            ("kernels/_cache.py", "os.utime(directory)"),
            ("kernels/_cache.py", "path.rmdir()"),
            ("kernels/_cache.py", "path.unlink()"),
            ("kernels/_cache.py", "other.rmdir()"),
            ("kernels/_cache.py", "temporary.write_bytes(hashlib.sha256(content).digest() + content)"),
            ("kernels/_cache.py", "temporary.replace(file)"),
            ("kernels/_cache.py", "temporary.unlink(missing_ok=True)"),
        ],
        "the cache of compiled kernels: a full disk is no error there",
    ),
    ("vectors/layouts.py", "np.save(buffer, _codes(file), allow_pickle=False)"): "into memory",
}
"""(file, call) -> why it need not go through the one writer."""

WRITING = {
    *("write_text", "write_bytes", "touch", "mkdir", "makedirs", "unlink", "rmdir", "rmtree", "removedirs", "utime"),
    *("rename", "renames", "symlink_to", "hardlink_to", "symlink", "link", "truncate", "ftruncate", "mkfifo", "mknod"),
    *("save", "savez", "savez_compressed", "savetxt", "tofile", "dump", "memmap", "open_memmap", "save_file"),
    *("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory", "mkstemp", "mkdtemp"),
    *("copy2", "copyfile", "copytree", "copyfileobj", "move", "ZipFile", "GzipFile", "BZ2File", "LZMAFile", "FileIO"),
    *("FileHandler", "writeMPS", "writeLP", "toJson", "to_json_file", "writeModel", "savefig"),
}
OURS = {"write_text", "write_bytes"}
"""Names of functions of the one writer, which are called as they are, not as methods of a path."""


def is_harmless(call, name):
    """Calls of those names that write no file."""
    words = {keyword.arg: keyword.value for keyword in call.keywords}
    constants = [item.value for item in [*call.args, *words.values()] if isinstance(item, ast.Constant)]
    if name == "memmap":
        return "r" in constants
    if name == "dump":  # an array's takes a path; JSON's a stream, which somebody has opened
        return ast.unparse(call.func) == "json.dump"
    if name == "replace":  # of text: two arguments; of dataclasses: keywords
        return len(call.args) != 1 or bool(words)
    return name in OURS and isinstance(call.func, ast.Name)


def opens_for_reading(call):
    """Whether a call of ``open`` says that it reads; a device under test opens no file."""
    if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in {"device", "kernel"}:
        return True
    first = 1 if isinstance(call.func, ast.Name) or ast.unparse(call.func) == "os.open" else 0
    modes = [*call.args[first:], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return not modes or (isinstance(modes[0], ast.Constant) and set(modes[0].value) <= set("rbt"))


def writes(text):
    """Every call in a source text that may make, change or remove a file."""
    for call in ast.walk(ast.parse(text)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, (ast.Name, ast.Attribute)):
            continue
        name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
        if name in {"open", "fdopen"}:
            suspicious = not opens_for_reading(call)
        elif ast.unparse(call.func) == "os.remove":
            suspicious = True
        else:
            suspicious = name in {*WRITING, "replace"} and not is_harmless(call, name)
        if suspicious:
            yield ast.unparse(call)


def test_only_one_module_writes_files():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name != HOME:
            found |= {(name, call) for call in writes(path.read_text(encoding="utf-8"))}
    assert found - set(EXCEPTIONS) == set(), "write it through lowbit.files.whole"
    assert set(EXCEPTIONS) - found == set(), "exceptions that nothing needs any more"


@pytest.mark.parametrize(
    "call",
    [
        "open(name, 'w')",
        "open(name, mode='ab')",
        "open(name, mode)",
        "path.open('r+b')",
        "path.open('x')",
        "os.open(name, flags)",
        "os.remove(name)",
        "os.replace(one)",
        "path.replace(place)",
        "path.write_text(text)",
        "path.write_bytes(data)",
        "np.save(path, array)",
        "array.tofile(path)",
        "np.memmap(path, np.uint8, 'w+')",
        "array.dump(path)",
        "tempfile.mkdtemp()",
        "shutil.move(one, other)",
    ],
)
def test_what_counts_as_writing(call):
    assert list(writes(call))


@pytest.mark.parametrize(
    "call",
    [
        "open(name)",
        "path.open('rb')",
        "device.open()",
        "text.replace('a', 'b')",
        "replace(problem, name=name)",
        "np.memmap(path, np.uint8, 'r', offset=8)",
        "write_text(path, text)",
        "json.dump(document, stream)",
    ],
)
def test_what_does_not(call):
    assert not list(writes(call))
