"""States on disk: nothing remains, nothing is silent, and no memory is taken."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from symadj.adjoint.storage import make_store
from symadj.adjoint.storage.disk import DiskStore
from symadj.errors import SnapshotError

POSIX = pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")

KILLED = """
import sys, time
from pathlib import Path
import torch
from symadj.adjoint.storage import make_store

store = make_store(Path(sys.argv[1]), torch.zeros(100_000))
for index in range(50):
    store.put(index, torch.full((100_000,), float(index)))
print("ready", flush=True)
while True:
    index += 1
    store.put(index % 60, torch.zeros(100_000))
"""

FORKED = """
import os, sys
import torch
from symadj.adjoint.storage import make_store
from symadj.errors import SnapshotError

store = make_store("disk", torch.zeros(3))
store.put(0, torch.ones(3))
child = os.fork()
if child == 0:
    refused = 0
    for action in (lambda: store.get(0), lambda: store.put(0, torch.zeros(3))):
        try:
            action()
        except SnapshotError as error:
            refused += "in the process of the solve" in str(error)
    store._file._lock.acquire()  # as if another thread of the parent had been reading
    store.close()
    os._exit(0 if refused == 2 else 1)
assert os.waitpid(child, 0)[1] == 0
assert torch.equal(store.get(0), torch.ones(3))
store.put(1, torch.zeros(3))
assert torch.equal(store.get(0), torch.ones(3))
"""

LEFT_OPEN = """
import sys
from pathlib import Path
import torch
from symadj.adjoint.storage import make_store

store = make_store(Path(sys.argv[1]), torch.zeros(3))
store.put(0, torch.ones(3))
if sys.argv[2] == "raise":
    raise RuntimeError("the solve failed")
"""


def _command(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]


def _scratch_store(folder: Path, num_elements: int = 3) -> DiskStore:
    store = make_store(folder, torch.zeros(num_elements))
    assert isinstance(store, DiskStore)
    return store


@contextmanager
def _largest_file(nbytes: int) -> Iterator[None]:
    """Let writes fail beyond a size, as on a full disk (Python ignores SIGXFSZ)."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Lose the right of a superuser to write everywhere."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


class Dribbling:
    """A file that transfers a few bytes at a time, as a system may."""

    def __init__(self, file: object) -> None:
        self._file = file

    def write(self, data: memoryview) -> int:
        return self._file.write(data[:7])

    def readinto(self, data: memoryview) -> int:
        return self._file.readinto(data[:5])

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@POSIX
def test_nothing_is_seen_in_the_folder(tmp_path: Path) -> None:
    store = _scratch_store(tmp_path)
    store.put(0, torch.ones(3))
    assert os.listdir(tmp_path) == []
    store.close()
    assert os.listdir(tmp_path) == []


@POSIX
def test_nothing_is_seen_where_files_must_have_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "_O_TMPFILE_WORKS", False)
    store = _scratch_store(tmp_path)
    store.put(0, torch.ones(3))
    assert os.listdir(tmp_path) == []
    assert torch.equal(store.get(0), torch.ones(3))
    store.close()


@POSIX
def test_nothing_remains_of_a_process_that_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(_command(KILLED, tmp_path), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as stdout:
        assert stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["return", "raise"])
def test_nothing_remains_of_a_process_that_ends(ending: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        _command(LEFT_OPEN, tmp_path, ending), capture_output=True, text=True, check=False
    )
    assert ended.returncode == (ending == "raise")
    assert "ResourceWarning" not in ended.stderr
    assert os.listdir(tmp_path) == []


def test_its_file_is_closed_when_it_is_and_when_it_is_forgotten(tmp_path: Path) -> None:
    store = _scratch_store(tmp_path)
    file = store._file._file
    assert not file.closed
    store.close()
    assert file.closed
    store = _scratch_store(tmp_path)
    file = store._file._file
    del store
    assert file.closed


@POSIX
def test_the_folder_may_go_while_the_solve_runs(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    store = _scratch_store(folder)
    store.put(0, torch.ones(3))
    folder.rmdir()
    store.put(1, torch.zeros(3))
    assert torch.equal(store.get(0), torch.ones(3))
    store.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(SnapshotError, match=f"{folder.name}.*Name a folder that exists"):
            make_store(folder, torch.zeros(3))


@POSIX
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with _as_nobody(), pytest.raises(SnapshotError, match=r"denied.*locked.*can be written to"):
        make_store(folder, torch.zeros(3))


def test_a_missing_temporary_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(SnapshotError, match=r"folder for temporary files.*set TMPDIR"):
        make_store("disk", torch.zeros(3))


@POSIX
def test_a_full_disk_is_an_error_and_the_rest_stays(tmp_path: Path) -> None:
    store = _scratch_store(tmp_path, num_elements=1000)
    for index in range(2):
        store.put(index, torch.full((1000,), float(index)))
    with _largest_file(10_000):
        for _ in range(2):
            with pytest.raises(SnapshotError, match=r"write 4000 bytes at 8000.*too large.*Make"):
                store.put(2, torch.full((1000,), 2.0))
        assert store.indices == (0, 1)
        store.put(1, torch.full((1000,), -1.0))
        assert [store.get(index)[-1].item() for index in range(2)] == [0.0, -1.0]
    store.put(2, torch.full((1000,), 2.0))
    assert [store.get(index)[-1].item() for index in range(3)] == [0.0, -1.0, 2.0]
    assert store.nbytes.disk == 12_000
    store.close()


def test_a_file_that_ends_early_is_an_error(tmp_path: Path) -> None:
    store = _scratch_store(tmp_path)
    store.put(0, torch.ones(3))
    store._file._file.truncate(8)
    with pytest.raises(SnapshotError, match=r"read 12 bytes at 0 of.*the file ends before"):
        store.get(0)
    store.close()


def test_a_transfer_may_take_several_calls(tmp_path: Path) -> None:
    store = _scratch_store(tmp_path, num_elements=10)
    store._file._file = Dribbling(store._file._file)  # type: ignore[assignment]
    states = [torch.randn(10) for _ in range(3)]
    for index, state in enumerate(states):
        store.put(index, state)
    assert all(torch.equal(store.get(index), state) for index, state in enumerate(states))
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="without forks")
def test_a_fork_neither_reads_nor_disturbs_the_file() -> None:
    command = [sys.executable, "-c", FORKED]  # Python warns of forks where there are threads
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stderr


def test_no_memory_is_taken_however_many_states_there_are(tmp_path: Path) -> None:
    memray = pytest.importorskip("memray")
    state = torch.randn(250_000)
    store = _scratch_store(tmp_path, num_elements=state.numel())
    record = tmp_path / "memray.bin"
    with memray.Tracker(record, trace_python_allocators=True):
        for index in range(30):
            store.put(index, state)
        for index in reversed(range(30)):
            returned = store.get(index)
            store.drop(index)
            del returned
    peak = memray.FileReader(record).metadata.peak_memory
    assert state.nbytes <= peak <= state.nbytes + 200_000
    assert store.nbytes.disk == 30 * state.nbytes
    store.close()
