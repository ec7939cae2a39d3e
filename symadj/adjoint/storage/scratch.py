"""A file without a name, of which nothing remains."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from symadj.errors import SnapshotError


class ScratchFile:
    """Bytes on disk that are gone with the process, however it ends.

    On Linux the file never has a name (``O_TMPFILE``); on other POSIX systems, and on the file
    systems without it, the name is removed as soon as the file is made; on Windows the system
    removes it with its last handle (``O_TEMPORARY``). All three are `tempfile.TemporaryFile`'s
    doing.

    It is read and written, not mapped. A mapping's pages count as memory of the process as long as
    they are cached, and a full disk shows as SIGBUS when one is touched; a write returns an error.

    Parameters
    ----------
    folder : Path, optional
        Where its bytes are to lie: the system's folder for temporary files, unless given.

    Raises
    ------
    SnapshotError
        If no file can be made there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        try:
            self._folder = Path(tempfile.gettempdir()) if folder is None else folder
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115
        except OSError as error:
            where = "the folder for temporary files" if folder is None else f"{str(folder)!r}"
            raise SnapshotError(
                f"No scratch file for states can be made in {where}: {error}. Name a folder that "
                f"exists and can be written to, best on a local disk, or set TMPDIR to one."
            ) from error
        self._owner = os.getpid()
        self._lock = threading.Lock()  # position and transfer are two calls

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes.

        Parameters
        ----------
        offset : int
            From the start of the file, in bytes; beyond its end it grows.
        data : memoryview

        Raises
        ------
        SnapshotError
            If the disk is full, or gone, or the process has been forked.
        """
        what = f"write {len(data)} bytes at {offset} to"
        with self._turn(what):
            self._file.seek(offset)
            while data:
                data = data[self._file.write(data) :]

    def read(self, offset: int, data: memoryview) -> None:
        """Fill memory with bytes from the file.

        Parameters
        ----------
        offset : int
            From the start of the file, in bytes.
        data : memoryview
            Writable.

        Raises
        ------
        SnapshotError
            If they are not there, or the process has been forked.
        """
        what = f"read {len(data)} bytes at {offset} of"
        with self._turn(what):
            self._file.seek(offset)
            while data:
                count = self._file.readinto(data)
                if not count:
                    raise OSError("the file ends before")
                data = data[count:]

    def close(self) -> None:
        """Give its bytes back. Once closed, nothing happens."""
        if os.getpid() != self._owner:
            self._file.close()  # the fork's own handle; the lock may have been held meanwhile
            return
        with self._lock:
            self._file.close()

    @contextmanager
    def _turn(self, what: str) -> Iterator[None]:
        # A fork has the same file, and the same position in it.
        if os.getpid() != self._owner:
            raise SnapshotError(
                f"Process {os.getpid()} tried to {what} a scratch file of process {self._owner}, "
                f"of which it is a fork. Run the backward pass in the process of the solve."
            )
        with self._lock:
            try:
                yield
            except (OSError, ValueError) as error:  # ValueError: it has been closed
                raise SnapshotError(
                    f"Could not {what} the scratch file in {str(self._folder)!r}: {error}. Make "
                    f"space there, name a folder on another disk, keep fewer states, or keep them "
                    f"in a coarser dtype."
                ) from error
