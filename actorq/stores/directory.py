"""The data directory of a coordinator: where its journal is, and who has it open."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from actorq.errors import StoreFailed, StoreInUse

JOURNAL = "journal.db"
LOCK = "journal.lock"
SIDE_FILES = ("-wal", "-shm")


class DataDirectory:
    """A directory for this user only, locked by the one process that has it open.

    The kernel gives the lock back when that process dies, however it dies. Raises StoreInUse, StoreFailed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        try:
            if not self.path.is_dir():
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync(self.path.parent)  # Or it may be gone, with all that is in it, after the machine has died.
            self._lock_fd = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreFailed(f"{self.path} cannot be used as data directory: {_reason(error)}") from None
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._lock_fd, 32, 0).decode(errors="replace").strip()
            os.close(self._lock_fd)
            raise StoreInUse(
                f"the journal in {self.path} is in use by process {holder or 'unknown'}: a data directory belongs to "
                f"one coordinator. Stop that one, or choose another directory"
            ) from None
        self.was_left_open = bool(os.pread(self._lock_fd, 1, 0))
        """Whether the last owner has died without closing it."""
        self._note(f"{os.getpid()}\n")

    @property
    def journal(self) -> Path:
        """The database."""
        return self.path / JOURNAL

    def make_journal(self) -> None:
        """Have an empty file that nobody else may read, if there is none."""
        try:
            os.close(os.open(self.journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreFailed(f"{self.journal} cannot be written: {_reason(error)}") from None

    def put_journal_aside(self) -> Path:
        """Give the journal another name, with what SQLite has beside it. Returns the name."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        aside = self.path / f"{JOURNAL}.damaged-{stamp}"
        number = 1
        while aside.exists():
            number += 1
            aside = self.path / f"{JOURNAL}.damaged-{stamp}-{number}"
        for suffix in ("", *SIDE_FILES):
            file = Path(f"{self.journal}{suffix}")
            if file.exists():
                file.rename(f"{aside}{suffix}")
        return aside

    def close(self, is_clean: bool) -> None:
        """Let others have it. `is_clean`: the journal needs no check."""
        if is_clean:
            self._note("")
        os.close(self._lock_fd)

    def _note(self, text: str) -> None:
        """In the file that is locked. It is for messages only, so a full disk is no reason to fail."""
        try:
            os.ftruncate(self._lock_fd, 0)
            os.pwrite(self._lock_fd, text.encode(), 0)
        except OSError:
            pass


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
