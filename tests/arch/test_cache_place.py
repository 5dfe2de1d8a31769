"""Compiled code is read only from where nobody but the user can have put it."""

import os
import pwd
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import lowbit
from lowbit.kernels import _cache

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the places and rights of Linux")
VARIABLES = ("LOWBIT_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
THIS = Path(__file__)


@pytest.fixture
def place(monkeypatch, tmp_path):
    """``place(LOWBIT_CACHE_DIR=...)``: the root and the reason, with these variables alone, in an empty directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def run(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        _cache.cache_root.cache_clear()
        _cache.cache_directory.cache_clear()
        return _cache.cache_root()

    yield run
    _cache.cache_root.cache_clear()
    _cache.cache_directory.cache_clear()
    assert not list((tmp_path / "work").iterdir()), "something was made in the working directory"


@pytest.fixture
def strangers_group(monkeypatch):
    """No group is the user's own."""
    monkeypatch.setattr("grp.getgrgid", lambda gid: SimpleNamespace(gr_name="staff", gr_mem=["somebody"]))


@pytest.mark.parametrize("variable", ["LOWBIT_CACHE_DIR", "NUMBA_CACHE_DIR"])
@pytest.mark.parametrize("path", ["cache", "./cache", "../cache", "~/cache", "."])
def test_a_relative_path_is_refused(place, variable, path):
    root, reason = place(**{variable: path})
    assert root is None
    assert f"{variable} is {path!r}" in reason


def test_a_relative_xdg_path_is_ignored(place, tmp_path):
    assert place(XDG_CACHE_HOME="cache") == (tmp_path / "home/.cache/lowbit", "")


@pytest.mark.parametrize("home", ["", None, "~", "."])
def test_no_home_is_no_place(place, monkeypatch, home):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home or "relative")
    root, reason = place()
    assert root is None
    assert "no home directory" in reason


def test_new_directories_are_the_users_alone(place, tmp_path):
    before = os.umask(0)
    try:
        root, _ = place(LOWBIT_CACHE_DIR=tmp_path / "a/b")
        directory, reason = _cache.cache_directory(THIS)
    finally:
        os.umask(before)
    assert root == tmp_path / "a/b/lowbit"
    assert (directory.parent, reason) == (root, "")
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in (tmp_path / "a", tmp_path / "a/b", root, directory))


@pytest.mark.parametrize(
    ("mode", "good"), [(0o755, True), (0o1777, True), (0o775, False), (0o757, False), (0o777, False)]
)
def test_nobody_else_may_write_on_the_way(place, tmp_path, strangers_group, mode, good):
    (tmp_path / "shared/own").mkdir(parents=True)
    (tmp_path / "shared").chmod(mode)
    root, reason = place(LOWBIT_CACHE_DIR=tmp_path / "shared/own")
    assert (root is not None) == good
    assert good or f"{tmp_path / 'shared'} can be written by others (mode {mode:o})" in reason


def test_a_group_of_the_user_alone_may_write_on_the_way(place, tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o775)
    name = pwd.getpwuid(os.geteuid()).pw_name
    for members, good in (([], True), ([name], True), ([name, "somebody"], False)):
        monkeypatch.setattr("grp.getgrgid", lambda gid, m=members: SimpleNamespace(gr_name=name, gr_mem=m))
        assert (place(LOWBIT_CACHE_DIR=tmp_path / "shared/own")[0] is not None) == good


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o770, 0o1777])
def test_the_cache_itself_is_for_nobody_else(place, tmp_path, mode):
    (tmp_path / "lowbit").mkdir()
    (tmp_path / "lowbit").chmod(mode)
    root, reason = place(LOWBIT_CACHE_DIR=tmp_path)
    assert root is None
    assert str(tmp_path / "lowbit") in reason
    (tmp_path / "lowbit").chmod(0o755)
    assert place(LOWBIT_CACHE_DIR=tmp_path)[0] is not None
    directory, _ = _cache.cache_directory(THIS)
    directory.chmod(mode)
    place()
    refused, reason = _cache.cache_directory(THIS)
    assert refused is None
    assert f"{directory} is not the user's alone" in reason


@pytest.mark.parametrize("part", ["", "lowbit", "leaf"])
def test_another_users_directory_is_refused(place, tmp_path, part):
    if os.geteuid():
        pytest.skip("only root can give a directory away")
    root, _ = place(LOWBIT_CACHE_DIR=tmp_path / "cache")
    leaf, _ = _cache.cache_directory(THIS)
    stolen = {"": tmp_path / "cache", "lowbit": root, "leaf": leaf}[part]
    os.chown(stolen, 54321, 54321)
    place()
    directory, reason = _cache.cache_directory(THIS)
    assert directory is None
    assert str(stolen) in reason
    assert "54321" in reason


def test_what_belongs_to_root_is_not_the_users_cache(place, tmp_path, monkeypatch):
    root, _ = place(LOWBIT_CACHE_DIR=tmp_path)
    assert root is not None
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert place()[0] is None


def test_symbolic_links_are_followed_and_looked_at(place, tmp_path, strangers_group):
    for name in ("safe", "shared", "shared/own"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("safe/../safe")
    assert place(LOWBIT_CACHE_DIR=tmp_path / "link")[0] is not None
    (tmp_path / "into").symlink_to(tmp_path / "shared/own")
    (tmp_path / "shared/through").symlink_to(tmp_path / "safe")
    (tmp_path / "chain").symlink_to("shared/through")
    (tmp_path / "shared").chmod(0o777)
    for name in ("into", "shared/through", "chain"):
        root, reason = place(LOWBIT_CACHE_DIR=tmp_path / name)
        assert root is None, name
        assert f"{tmp_path / 'shared'} can be written by others" in reason
    for name, target in (("dangling", "nowhere"), ("loop", "loop")):
        (tmp_path / name).symlink_to(target)
        assert place(LOWBIT_CACHE_DIR=tmp_path / name)[0] is None
    (tmp_path / "planted").mkdir()
    root, _ = place(LOWBIT_CACHE_DIR=tmp_path / "leaf")
    leaf, _ = _cache.cache_directory(THIS)
    leaf.rmdir()
    leaf.symlink_to(tmp_path / "planted")
    place()
    assert _cache.cache_directory(THIS)[0] is None


@pytest.mark.parametrize("path", ["/dev/null", "/proc", "/proc/self/nowhere"])
def test_where_nothing_can_be_made(place, path):
    root, reason = place(LOWBIT_CACHE_DIR=path)
    assert root is None
    assert path in reason


WITHOUT_HOME = """
import os, pwd
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown  # as where containers run under any number
from lowbit.cli import main
from lowbit.kernels._jit import kernel
def twice(x):
    return 2 * x
print(kernel(twice)(4))
main(["doctor"])
"""


@pytest.mark.slow
def test_without_a_home_nothing_is_kept_and_doctor_says_so(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, "HOME")}
    environment["PYTHONPATH"] = str(Path(lowbit.__file__).parents[1])
    command = [sys.executable, "-c", WITHOUT_HOME]
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("8\n")
    assert "every process compiles its kernels anew: no home directory is known" in result.stdout
    assert not list(tmp_path.iterdir())
