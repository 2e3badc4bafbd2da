"""Key files: the cluster's, with its secret and the list of its clients, and a client's, with a key of its own.

Both are JSON. From the secret all keys of nodes follow, so that one file is all that a node needs. A client's file has
nothing of that secret.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from actorq.errors import BadKey
from actorq.keys.rights import RIGHTS, Grant, Role, grant
from actorq.transport import KeyPair, is_key, new_pair, pair_of

CLUSTER, CLIENT = "actorq cluster key", "actorq client key"
"""What a file says that it is."""
SECRET_BYTES = 32
RESERVED = ("node", "cluster")
"""Names that the derived keys have in logs."""
NAME_CHARACTERS = 100
LARGEST_FILE_BYTES = 16 * 1024 * 1024
_PERSON = b"actorq-curve-1"
_ONLY_OWNER, _OWNER_AND_GROUP = 0o600, 0o640


@dataclass(frozen=True, slots=True)
class Granted:
    """A client's key, as the cluster's file has it."""

    public: str
    grant: Grant


@dataclass(frozen=True)
class ClusterKey:
    """What a cluster's key file says."""

    secret: bytes = field(repr=False)
    clients: tuple[Granted, ...] = ()

    @cached_property
    def node(self) -> KeyPair:
        """Of coordinators and workers. Its public half is what all others know the mesh by."""
        return self._derive(b"node")

    @cached_property
    def client(self) -> KeyPair:
        """Of programs that have this file: they may do all that clients may."""
        return self._derive(b"client")

    def grants(self) -> dict[str, Grant]:
        """Who may do what, by public key."""
        return {
            **{each.public: each.grant for each in self.clients},
            self.client.public: grant("cluster", Role.CLIENT, RIGHTS),
            self.node.public: grant("node", Role.NODE),
        }

    def with_client(self, name: str, role: Role, rights: Sequence[str]) -> tuple[ClusterKey, ClientKey]:
        """The same with one more client, and that client's key. Raises BadKey if the name is taken, or is none."""
        if not name or not name.isprintable() or len(name) > NAME_CHARACTERS or name in RESERVED:
            raise BadKey(
                f"{name!r} cannot be the name of a client: use 1 to {NAME_CHARACTERS} printable characters, and none "
                f"of {', '.join(RESERVED)}"
            )
        if any(each.grant.name == name for each in self.clients):
            raise BadKey(
                f"there is a client {name!r} already: 'actorq key grant {name}' gives its key further rights, 'actorq key "
                f"remove {name}' takes it away"
            )
        granted = grant(name, role, rights)
        pair = new_pair()
        changed = replace(self, clients=(*self.clients, Granted(pair.public, granted)))
        return changed, ClientKey(granted, self.node.public, pair)

    def with_rights(self, name: str, rights: Sequence[str]) -> tuple[ClusterKey, Grant]:
        """The same with further rights for a client, and what that may do now. Raises BadKey if it cannot have them."""
        known = self._client(name)
        if known.grant.role is not Role.CLIENT:
            raise BadKey(
                f"{known.grant} looks, and cannot have further rights: make another key, with 'actorq key client'"
            )
        granted = grant(name, Role.CLIENT, {*known.grant.rights, *rights})
        changed = tuple(Granted(each.public, granted) if each is known else each for each in self.clients)
        return replace(self, clients=changed), granted

    def without_client(self, name: str) -> ClusterKey:
        """The same without a client. Raises BadKey if there is none of the name."""
        known = self._client(name)
        return replace(self, clients=tuple(each for each in self.clients if each is not known))

    def _client(self, name: str) -> Granted:
        for each in self.clients:
            if each.grant.name == name:
                return each
        names = ", ".join(each.grant.name for each in self.clients) or "none"
        raise BadKey(f"there is no client {name!r} (there are: {names})")

    def _derive(self, purpose: bytes) -> KeyPair:
        return pair_of(blake2b(purpose, key=self.secret, digest_size=SECRET_BYTES, person=_PERSON).digest())


@dataclass(frozen=True, slots=True)
class ClientKey:
    """What a client's key file says. The grant is for people: what counts is the cluster's file."""

    grant: Grant
    server: str
    pair: KeyPair


def new_cluster_key() -> ClusterKey:
    """A cluster with a random secret, and no clients yet."""
    return ClusterKey(secrets.token_bytes(SECRET_BYTES))


# -- reading -----------------------------------------------------------------------------------------------------


def load_key(path: str | os.PathLike[str]) -> ClusterKey | ClientKey:
    """The key in a file. Raises BadKey, which says what is wrong with the file and what to do."""
    place = os.fspath(path)
    data = _read(place)
    try:
        kind = data["kind"]
        if kind == CLUSTER:
            return _cluster_of(data)
        if kind == CLIENT:
            return _client_of(data)
    except (KeyError, TypeError, ValueError) as error:
        raise BadKey(f"key file {place} is damaged ({error!r}): restore it, or make another one") from None
    raise BadKey(f"{place} is a key file of another kind ({str(kind)[:100]!r}): maybe of a later release of actorq")


def load_cluster_key(path: str | os.PathLike[str], what: str = "a node") -> ClusterKey:
    """The cluster's key in a file. Raises BadKey, also for a client's."""
    key = load_key(path)
    if isinstance(key, ClientKey):
        raise BadKey(
            f"{os.fspath(path)} is the key of the client {key.grant.name!r}: {what} needs the cluster's own key file, "
            f"the one that 'actorq key new' made"
        )
    return key


def _read(place: str) -> dict[str, Any]:
    try:
        with open(place, "rb") as file:
            check_permissions(place, os.fstat(file.fileno()))
            data = json.loads(file.read(LARGEST_FILE_BYTES))
    except OSError as error:
        hint = "make one with 'actorq key new', or name it with --key" if isinstance(error, FileNotFoundError) else ""
        raise BadKey(f"key file {place} cannot be read: {error.strerror}" + (f"; {hint}" if hint else "")) from None
    except ValueError:
        raise BadKey(f"{place} is no key file: make one with 'actorq key new'") from None
    if not isinstance(data, dict):
        raise BadKey(f"{place} is no key file: make one with 'actorq key new'")
    return data


def check_permissions(place: str, file: os.stat_result) -> None:
    """Raise BadKey if others could read the file, or put another one in its place.

    As PostgreSQL has it: a file of root's may be read by a group, and one of this user's by nobody else.
    """
    mode, own = stat.S_IMODE(file.st_mode), os.geteuid()
    if not stat.S_ISREG(file.st_mode):
        raise BadKey(f"{place} is not a file")
    if file.st_uid not in (own, 0):
        raise BadKey(f"key file {place} belongs to another user, who could change it: chown {_user_name(own)} {place}")
    if mode & ~(_OWNER_AND_GROUP if file.st_uid == 0 else _ONLY_OWNER) & 0o777:
        wanted = _ONLY_OWNER if file.st_uid == own else _OWNER_AND_GROUP
        raise BadKey(f"key file {place} is open to others (mode {mode:04o}): chmod {wanted:04o} {place}")
    for path in (os.path.abspath(place), os.path.realpath(place)):  # Where the link is, and where it leads to.
        directory = os.path.dirname(path)
        above = os.stat(directory)
        if above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX:
            raise BadKey(
                f"others can write into the directory of key file {place}, and so put another one in its place: "
                f"chmod go-w {directory}"
            )


def _cluster_of(data: dict[str, Any]) -> ClusterKey:
    secret = bytes.fromhex(data["secret"])
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"the secret has {len(secret)} bytes")
    clients = tuple(Granted(_key_in(each["public"]), _grant_of(each)) for each in data["clients"])
    return ClusterKey(secret, clients)


def _client_of(data: dict[str, Any]) -> ClientKey:
    pair = KeyPair(_key_in(data["public"]), _key_in(data["secret"]))
    return ClientKey(_grant_of(data), _key_in(data["server"]), pair)


def _grant_of(data: dict[str, Any]) -> Grant:
    rights = data["rights"]
    if not isinstance(rights, list) or not all(each in RIGHTS for each in rights):
        raise ValueError(f"rights are a list of {', '.join(RIGHTS)}")
    role = Role(data["role"])
    if role is Role.NODE:
        raise ValueError("only the derived key has the role node")
    return grant(str(data["name"]), role, rights)


def _key_in(text: Any) -> str:
    if not is_key(text):
        raise ValueError("it has something that is no key")
    return str(text)


def _user_name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


# -- writing -----------------------------------------------------------------------------------------------------


def write_new(path: str | os.PathLike[str], key: ClusterKey | ClientKey) -> None:
    """Write a key file that was not there. Raises BadKey if there is something of that name."""
    place = Path(path)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OWNER)
        try:
            _write(fd, key)
            check_permissions(os.fspath(place), os.stat(place))
        except BaseException:  # Such as a disk that is full: half a key must not stand in the way of the next attempt.
            place.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise BadKey(f"{place} is there already, and a key file is never overwritten: choose another name") from None
    except OSError as error:
        raise BadKey(f"key file {place} cannot be written: {error.strerror}") from None


def change(path: str | os.PathLike[str], edit: Callable[[ClusterKey], ClusterKey]) -> None:
    """Put what `edit` makes of a cluster's key in its place, whole or not at all. Raises BadKey."""
    place = Path(path).resolve()
    try:
        with _locked(place.parent):
            changed = edit(load_cluster_key(place, "to grant and remove keys one"))
            mode = os.stat(place)
            fd, other = tempfile.mkstemp(
                prefix=f".{place.name}.", dir=place.parent
            )  # A file that nobody else has open.
            try:
                if (mode.st_uid, mode.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(fd, mode.st_uid, mode.st_gid)
                os.fchmod(fd, stat.S_IMODE(mode.st_mode))
                _write(fd, changed)
                os.replace(other, place)
            except BaseException:
                os.unlink(other)
                raise
    except OSError as error:
        raise BadKey(f"key file {place} cannot be changed: {error.strerror}") from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """So that of two who change the file at the same time one waits."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _write(fd: int, key: ClusterKey | ClientKey) -> None:
    with os.fdopen(fd, "w") as file:
        json.dump(_as_data(key), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _as_data(key: ClusterKey | ClientKey) -> dict[str, Any]:
    if isinstance(key, ClusterKey):
        clients = [{**_grant_data(each.grant), "public": each.public} for each in key.clients]
        return {"kind": CLUSTER, "secret": key.secret.hex(), "clients": clients}
    return {
        "kind": CLIENT,
        **_grant_data(key.grant),
        "server": key.server,
        "public": key.pair.public,
        "secret": key.pair.secret,
    }


def _grant_data(granted: Grant) -> dict[str, Any]:
    return {"name": granted.name, "role": granted.role.value, "rights": sorted(granted.rights)}
