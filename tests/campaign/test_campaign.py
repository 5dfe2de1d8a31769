"""Campaigns: named tasks, done anywhere in any order, noted, resumed; the work here is a number doubled."""

import json
import subprocess
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

from lowbit.campaign import Journal, run_tasks, workers
from lowbit.campaign.run import MOST_WAITING
from lowbit.errors import InputError, LowbitError

NAMES = [str(number) for number in range(10)]
RESULTS = {name: int(name) * 2 for name in NAMES}
SUBJECT = {"schema": "doubles/1", "settings": {"factor": 2}}


def double(name):
    return [int(name) * 2]


def decode(result):
    (number,) = result
    return number + 0


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal", SUBJECT)


def lines(tmp_path):
    return (tmp_path / "journal").read_text(encoding="utf-8").splitlines()


def test_the_results_are_in_the_order_of_the_names_whoever_works(tmp_path):
    assert run_tasks(double, NAMES, decode) == RESULTS
    with ThreadPoolExecutor(3) as threads:
        for names in (NAMES, NAMES[::-1]):
            results = run_tasks(double, names, decode, executor=threads)
            assert list(results.items()) == [(name, RESULTS[name]) for name in names]


def test_progress_and_journal_tell_every_task_once(tmp_path, journal):
    seen = []
    run_tasks(double, NAMES[:4], decode, journal=journal)
    run_tasks(double, NAMES, decode, journal=journal, progress=lambda *words: seen.append(words))
    assert seen == [(count, 10, str(count - 1)) for count in range(5, 11)]
    assert [json.loads(line) for line in lines(tmp_path)] == [
        SUBJECT,
        *({"name": name, "result": double(name)} for name in NAMES),
    ]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, InputError("no"), OSError])
@pytest.mark.parametrize("threads", [0, 1])
def test_what_ends_a_run_loses_unfinished_tasks_only(tmp_path, journal, failure, threads):
    calls = []

    def work(name):
        calls.append(name)
        if name == "6" and len(calls) == 7:
            raise failure
        return double(name)

    executor = ThreadPoolExecutor(threads) if threads else None
    with pytest.raises(failure if isinstance(failure, type) else InputError):
        run_tasks(work, NAMES, decode, journal=journal, executor=executor)
    if executor:
        executor.shutdown()
    noted = [json.loads(line)["name"] for line in lines(tmp_path)[1:]]
    assert set(noted) >= set(NAMES[:6])
    assert "6" not in noted
    assert executor or calls == NAMES[:7]
    del calls[:]
    assert run_tasks(work, NAMES, decode, journal=journal) == RESULTS
    assert calls == [name for name in NAMES if name not in noted]


class Unlucky(Executor):
    """Does its tasks at once, and is lost at one of them."""

    most = 0

    def submit(self, work, name):
        future = Future()
        future.set_exception(BrokenProcessPool("killed")) if name == "3" else future.set_result(work(name))
        return future


def test_a_lost_worker_loses_no_result(tmp_path, journal):
    with pytest.raises(LowbitError, match=r"a worker was lost.*killed\nhelp: .*goes on"):
        run_tasks(double, NAMES, decode, journal=journal, executor=Unlucky())
    assert {json.loads(line)["name"] for line in lines(tmp_path)[1:]} == set(NAMES) - {"3"}
    assert run_tasks(double, NAMES, decode, journal=journal) == RESULTS


def test_few_tasks_wait_at_once():
    waiting = []

    class Counting(ThreadPoolExecutor):
        def submit(self, *task):
            waiting.append(self._work_queue.qsize())
            return super().submit(*task)

    with Counting(2) as threads:
        names = [str(number) for number in range(4 * MOST_WAITING)]
        assert len(run_tasks(double, names, decode, executor=threads)) == len(names)
    assert max(waiting) <= MOST_WAITING


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("what?\n", "is not a journal"),
        ("[]\n", "is not a journal"),
        (json.dumps(SUBJECT)[:9], "is not a journal"),  # the first line is written whole
        (json.dumps({**SUBJECT, "settings": {"factor": 3}}) + "\nwhat?\n", "is not a journal"),
        (json.dumps({**SUBJECT, "settings": {"factor": 3}}) + "\n", "another run, with other settings"),
        (json.dumps({"schema": 1}) + "\n", "with other schema and other settings"),
        (json.dumps(SUBJECT) + '\n{"name": "a"}\n', "is not a journal"),
        (json.dumps(SUBJECT) + '\n{"name": "a", "result": 7}\n', "is not a journal"),
    ],
)
def test_a_foreign_file_is_refused_and_kept(tmp_path, journal, content, message):
    path = tmp_path / "journal"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        run_tasks(double, NAMES, decode, journal=journal)
    assert path.read_text(encoding="utf-8") == content


def test_half_a_line_is_left_out(tmp_path, journal):
    run_tasks(double, NAMES[:3], decode, journal=journal)
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes()[:-4])
    assert run_tasks(double, NAMES, decode, journal=journal) == RESULTS
    assert len(lines(tmp_path)) == 1 + len(NAMES)


@pytest.mark.parametrize("jobs", [0, -1, "2", 1.5, True])
def test_a_number_of_workers_is_positive(jobs):
    with pytest.raises(InputError, match=f"jobs = {jobs!r} is not a positive"), workers(jobs):
        raise AssertionError


def test_workers():
    with workers() as executor:
        assert executor is None
    with pytest.raises(InputError, match=r"Dask is not installed|does not answer"), workers(scheduler="nowhere"):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from lowbit.campaign import Journal, run_tasks, workers
from lowbit.errors import LowbitError

def work(name):
    if name == "5" and not Path(sys.argv[1]).exists():
        Path(sys.argv[1]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return int(name)

if __name__ == "__main__":
    for attempt in range(2):
        try:
            with workers(2) as executor:
                results = run_tasks(work, list("0123456789"), int, journal=Journal(sys.argv[2], {}), executor=executor)
        except LowbitError as error:
            assert attempt == 0 and "a worker was lost" in error.message
    print(attempt, sum(results.values()))
"""


def test_a_process_that_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    command = [sys.executable, str(script), str(tmp_path / "once"), str(tmp_path / "journal")]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=60)
    assert result.stdout == "1 45\n"
    assert len(lines(tmp_path)) == 11
