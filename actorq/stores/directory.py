"""The data directory of a coordinator: where its journal is, and who has it open."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from actorq.errors import StoreFailed, StoreInUse

JOURNAL = "journal.db"
LOCK = "journal.lock"
REBUILDING = "journal.db.rebuilding"
"""What is made of a damaged journal, until all of it is there."""
REBUILT = "journal.db.rebuilt"
"""The same when all of it is there, and the damaged one is put aside."""
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

    def make_file(self, file: Path) -> None:
        """Have an empty file that nobody else may read, if there is none."""
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreFailed(f"{file} cannot be written: {_reason(error)}") from None

    def begin_rebuilding(self) -> Path:
        """Where the journal that takes the place of a damaged one is made. What is left of an earlier attempt goes."""
        rebuilding = self.path / REBUILDING
        for suffix in ("", *SIDE_FILES):
            Path(f"{rebuilding}{suffix}").unlink(missing_ok=True)
        return rebuilding

    def end_rebuilding(self) -> Path:
        """All of it is there: it takes the place of the damaged one. Returns what that is called now. Raises OSError.

        Until here a start that dies, or finds no room, has changed nothing. From here on the next one goes on.
        """
        (self.path / REBUILDING).replace(self.path / REBUILT)
        _sync(self.path)
        return self._take_rebuilt()

    def go_on_rebuilding(self) -> None:
        """Do what an earlier start has not come to, which died while it put the damaged journal aside."""
        try:
            if (self.path / REBUILT).exists():
                self._take_rebuilt()
        except OSError as error:
            raise StoreFailed(f"{self.path} cannot be used as data directory: {_reason(error)}") from None

    def _take_rebuilt(self) -> Path:
        aside = self._put_journal_aside()
        (self.path / REBUILT).replace(self.journal)
        _sync(self.path)
        return aside

    def _put_journal_aside(self) -> Path:
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
                file.replace(f"{aside}{suffix}")
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
