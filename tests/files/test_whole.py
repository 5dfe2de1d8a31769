"""Files are written whole or not at all, whoever else writes to the same place."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from lowbit.errors import InputError
from lowbit.files.whole import LONGEST_STEM, descriptor_of, is_stream, whole_file, write_bytes, write_text


def interrupt_after(written):
    assert written
    raise KeyboardInterrupt


def test_what_was_there_stays_when_writing_fails(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("before")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half", 5])
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        interrupt_after(file.write(b"half"))
    with pytest.raises(InputError, match="surrogate"):
        write_text(path, "half \ud800")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_a_pipe_is_written_to(tmp_path):
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("before")
    link.symlink_to(target)
    write_text(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_an_open_file_is_written_to_where_it_stands(tmp_path):
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file:
        file.write(b"before, ")
        for name in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}"):
            write_text(name, "through, ")
        file.write(b"after")
    assert path.read_text() == "before, through, through, after"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="cannot be written") as caught:
        write_text("/dev/fd/999999999", "nowhere")
    assert caught.value.code == "LB101"


def test_which_names_are_open_files(tmp_path):
    names = ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/7", "/proc/self/fd/12"]
    assert [descriptor_of(name) for name in names] == [0, 1, 2, 7, 12]
    assert {descriptor_of(name) for name in ("stdout", "/dev/fd", "/dev/fd/x", "/dev/null", "-", "")} == {None}
    assert is_stream("/dev/stdout")
    assert is_stream(os.devnull)
    assert not any(map(is_stream, (tmp_path, tmp_path / "none", "x" * 5000, "nul\0", "half \ud800")))


def test_every_writer_has_a_temporary_file_of_its_own(tmp_path):
    path = tmp_path / "shared"
    with whole_file(path) as one, whole_file(path) as other:  # one process, one thread, one place
        one.write(b"one")
        other.write(b"the other")
        assert one.name != other.name
    contents = [bytes([65 + writer]) * 100_000 for writer in range(8)]
    threads = [Thread(target=write_bytes, args=(path, content)) for content in contents * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("letter", ["x", "é", "数", "𝄞"])
def test_names_as_long_as_the_file_system_takes(tmp_path, letter):
    path = tmp_path / (letter * (255 // len(letter.encode())))
    write_text(path, "long")
    write_text(path, "longer")
    assert path.read_text() == "longer"
    assert len(path.name) > LONGEST_STEM


def test_permissions_are_kept(tmp_path):
    path = tmp_path / "private"
    path.write_text("before")
    path.chmod(0o600)
    write_text(path, "after")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    umask = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.fixture
def open_folder():
    """A folder that anybody may write to, and the rights of an ordinary user: root may write anything."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        user = os.geteuid()
        os.seteuid(user or 65534)
        yield Path(name)
        os.seteuid(user)


def test_a_file_that_may_not_be_written_is_not_replaced(open_folder):
    path = open_folder / "kept"
    path.write_text("before")
    path.chmod(0o400)
    with pytest.raises(InputError, match="Permission denied"):
        write_text(path, "after")
    assert path.read_text() == "before"
    assert list(open_folder.iterdir()) == [path]


@pytest.mark.parametrize("name", ["nul\0", "half \ud800"])
def test_what_cannot_be_a_name(tmp_path, name):
    with pytest.raises(InputError, match="no name has such a character"):
        write_text(tmp_path / name, "")
    assert not list(tmp_path.iterdir())


TERMINATED = """
import sys, time
from lowbit.files.whole import whole_file, whole_folder, write_text
kind, path = sys.argv[1:]
with (whole_file if kind == "file" else whole_folder)(path) as place:
    if kind == "file":
        place.write(b"half")
        place.flush()
    else:
        write_text(place / "first", "half")
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_process_that_is_asked_to_end_leaves_nothing(tmp_path, kind):
    command = [sys.executable, "-c", TERMINATED, kind, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


def test_a_handler_of_sigterm_stays(tmp_path):
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    write_text(tmp_path / "one", "text")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with whole_file(tmp_path / "two") as file:
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
            file.write(b"text")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
