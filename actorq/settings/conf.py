"""`app.conf`: what several places say about the settings, laid over each other, and what is in force."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import timezone, tzinfo
from typing import TYPE_CHECKING, Any

from actorq.errors import ImproperlyConfigured, SettingIgnored
from actorq.settings.ignored import NOT_YET
from actorq.settings.names import canonical, find
from actorq.settings.shown import censored as without_secrets
from actorq.settings.shown import humanized
from actorq.settings.sources import Source, explain, from_environment, from_mapping
from actorq.settings.table import NAMES, Settings
from actorq.warning import warn_program

if TYPE_CHECKING:

    class _Typed(Settings, MutableMapping[str, Any]):  # So that attributes have their types.
        pass
else:
    _Typed = MutableMapping

STAY = frozenset({"key", "insecure"})
"""Settings of a process, which do not travel."""

ReadSource = Callable[[], "Source | None"]


def _nothing() -> None:
    pass


class Conf(_Typed):
    """The settings of an application, as attributes (``conf.task_time_limit``) and as items (``conf["task_time_limit"]``).

    `actorq.settings.Settings` lists them. What holds, from the first to the last:

    1. what the program says: arguments of the application, ``conf.update(…)``, ``conf.task_time_limit = 5``;
    2. modules, objects and files: ``app.config_from_object(…)``; of several, the later one;
    3. the environment: ACTORQ_TASK_TIME_LIMIT=5 and so on;
    4. ``app.add_defaults(…)``, and the defaults of `Settings`.

    (Options on the command line of a worker go before all of these.) Modules, files and the environment are read at the
    first use of a setting. Names are also understood as Celery has them, and had them before version 4; names that are
    none raise ImproperlyConfigured, with the nearest known one, and values that cannot be do, too. Settings of Celery's
    that have nothing to set here are accepted, with one warning (SettingIgnored) that says why.
    """

    def __init__(
        self,
        before_load: Callable[[], object] = _nothing,
        after_load: Callable[[], object] = _nothing,
        on_change: Callable[[], object] = _nothing,
    ) -> None:
        self._before_load, self._after_load, self._on_change = before_load, after_load, on_change
        self._defaults: list[ReadSource] = []
        self._files: list[ReadSource] = []
        self._changes = Source("program")
        self._layers: list[Source] | None = None
        """What was read, from the last that holds to the first but for the program's own; None: nothing yet."""
        self._settings: Settings | None = None
        self._is_loading = False
        self._warned: set[str] = set()

    # -- where settings come from --------------------------------------------------------------------------------

    def add_source(self, read: ReadSource) -> None:
        """`read` is called when the settings are read. It returns None if there is nothing, after all."""
        self._files.append(read)
        self._read_again()

    def add_defaults(self, given: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Values that hold where nobody says anything; or a function that returns them when the settings are read."""
        self._defaults.append(lambda: from_mapping(given() if callable(given) else given, "add_defaults"))
        self._read_again()

    def update(self, *given: Any, **named: Any) -> None:
        """Set several: a mapping, or pairs, or by keyword. If one of them cannot be, none is."""
        self._change(from_mapping(dict(*given, **named), self._changes.where))

    # -- what is in force ----------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """All of them, read at the first use. Not to be changed: `update` does that."""
        if self._settings is None:
            self._load()
            assert self._settings is not None
        return self._settings

    @property
    def is_loaded(self) -> bool:
        """Whether they were read."""
        return self._settings is not None

    @property
    def zone(self) -> tzinfo | None:
        """What datetimes without a zone mean; None: local time."""
        named = self.settings.timezone
        if named is None:
            return timezone.utc if self.settings.enable_utc else None
        if not isinstance(named, str):
            return named
        from zoneinfo import ZoneInfo  # Slow to import, and seldom needed.

        return ZoneInfo(named)

    def without_defaults(self) -> dict[str, Any]:
        """What anybody has said."""
        settings = self.settings
        assert self._layers is not None
        said = {name for layer in (*self._layers, self._changes) for name in layer.values}
        return {name: getattr(settings, name) for name in NAMES if name in said}

    def portable(self) -> tuple[tuple[str, Any], ...]:
        """What was changed and is plain enough to travel with functions by value; keys do not."""
        values = {"url": self.url, "accept_content": self.accept_content, **self.without_defaults()}
        return tuple((name, value) for name, value in values.items() if name not in STAY and _is_plain(value))

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """The settings that were changed, or all; without keys and passwords, unless `censored` is False."""
        values = dict(self) if with_defaults else self.without_defaults()
        return without_secrets(values) if censored else values

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """`table`, a line for each setting."""
        return humanized(self.table(with_defaults, censored))

    # -- as attributes and items ---------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = find(name)
        if found in NAMES:
            return getattr(self.settings, found)
        try:
            return self._ignored()[canonical(name)]
        except (ImproperlyConfigured, KeyError) as error:
            raise AttributeError(str(error) if found is None else explain(found)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self.update({name: value})

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError as error:
            raise KeyError(str(error)) from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        """Take back what the program has said."""
        del self._changes.values[canonical(name)]
        self._read_again()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (find(name) in NAMES or find(name) in self._ignored())

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<Conf: {self.humanize()}>" if self.is_loaded else "<Conf: not read yet>"

    # -- reading -------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        if self._is_loading:  # Who is told that they are about to be read looks at them.
            self._settings = self._laid_over()
            return
        self._is_loading = True
        try:
            self._before_load()
            self._layers = None
            self._settings = self._laid_over()
        finally:
            self._is_loading = False
        try:
            self._after_load()
        except BaseException:
            self._settings = None  # It is not for the first one alone to hear that they cannot be used.
            raise

    def _laid_over(self) -> Settings:
        if self._layers is None:
            reads = [*self._defaults, lambda: from_environment(os.environ), *self._files]
            self._layers = [source for source in (read() for read in reads) if source is not None]
        values: dict[str, Any] = {}
        for layer in (*self._layers, self._changes):
            values.update(layer.values)
            self._warn_of(layer)
        return _checked(Settings(**values))

    def _read_again(self) -> None:
        """Another place has something to say."""
        self._layers = None
        if self._settings is not None:
            self._settings = self._laid_over()
            self._on_change()

    def _change(self, source: Source) -> None:
        if self._settings is not None:
            values = {name: getattr(self._settings, name) for name in NAMES}
            self._settings = _checked(Settings(**{**values, **source.values}))
        self._changes.values.update(source.values)
        self._changes.ignored.update(source.ignored)
        self._warn_of(source)
        if self._settings is not None:
            self._on_change()

    def _ignored(self) -> dict[str, Any]:
        layers = self._layers or []
        return {name: value for layer in (*layers, self._changes) for name, value in layer.ignored.items()}

    def _warn_of(self, source: Source) -> None:
        for name in (*source.ignored, *(NOT_YET & source.values.keys())):
            if name not in self._warned:
                self._warned.add(name)
                why = f"setting {name} has no effect yet" if name in NOT_YET else explain(name)
                warn_program(f"{why} ({source.where})", SettingIgnored)


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) or (
        isinstance(value, tuple) and all(isinstance(each, str) for each in value)
    )


def _checked(settings: Settings) -> Settings:
    soft, hard = settings.task_soft_time_limit, settings.task_time_limit
    if soft and hard and soft > hard:
        raise ImproperlyConfigured(
            f"setting task_soft_time_limit ({soft:g} s) is above task_time_limit ({hard:g} s): it would never be reached"
        )
    return settings
