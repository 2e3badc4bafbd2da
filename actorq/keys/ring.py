"""The keys that a coordinator knows, looked up again when their file changes."""

from __future__ import annotations

import logging
import os

from actorq.errors import BadKey
from actorq.keys.files import ClusterKey, load_cluster_key
from actorq.keys.rights import Grant

LOOK_S = 1.0
"""How often the file is looked at."""

logger = logging.getLogger("actorq.keys")


class KeyRing:
    """A cluster's key file. Raises BadKey when it is made; later a file that cannot be read changes nothing."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._signature = self._look()
        self._trouble = ""
        """Why the file cannot be used, if so: that may pass although the file stays as it is."""
        self.key: ClusterKey = load_cluster_key(path)
        self._grants = self.key.grants()
        self.version = 1
        """Goes up when the keys have changed. Several look, and each has to notice."""

    def grant(self, public: str) -> Grant | None:
        """What the owner of a key may do. None: the key is not known."""
        return self._grants.get(public)

    def admit(self, public: str, address: str) -> bool:
        """Whether it may connect. A file that has just changed counts already: who gets a key can use it at once."""
        self.refresh()
        return public in self._grants

    def refresh(self) -> None:
        """Read the file if it has changed."""
        signature = self._look()
        if signature == self._signature and not self._trouble:
            return
        self._signature = signature
        before, self._trouble = self._trouble, ""
        try:
            key = load_cluster_key(self.path)
        except BadKey as error:
            self._trouble = str(error)
            if self._trouble != before:
                logger.error("the keys stay as they are: %s", error)
            return
        if key.secret != self.key.secret:
            logger.error("%s has another secret now: restart this node to use it. The keys stay as they are", self.path)
            return
        if key != self.key:
            logger.warning("%s has changed: %d client keys", self.path, len(key.clients))
            self.key = key
            self._grants = key.grants()
            self.version += 1

    def _look(self) -> tuple[int, int, int, int]:
        try:
            found = os.stat(self.path)
        except OSError:
            return (0, 0, 0, 0)
        return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
