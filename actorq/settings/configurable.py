"""An application as far as its settings go: where they come from, and who hears that they were read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone, tzinfo
from functools import partial
from typing import Any

from actorq.dispatch import ForkSignal, OnceSignal, Signal
from actorq.errors import ImproperlyConfigured
from actorq.settings.conf import Conf
from actorq.settings.sources import read_source


class Configurable:
    """Has settings, as `conf`. What uses them is in the class below."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace
        """How names of settings begin, where `config_from_object` is told nothing else."""
        self.on_configure = Signal("on_configure")
        """The settings are about to be read. sender: the application; as with the others."""
        self.on_after_configure = OnceSignal("on_after_configure", ("source",))
        """The settings were read."""
        self.on_after_finalize = OnceSignal("on_after_finalize")
        """The application is complete: a worker has imported all modules with tasks."""
        self.on_after_fork = ForkSignal("on_after_fork", self)
        """This process was forked off another one that has the application."""
        self.conf = Conf(lambda: self.on_configure.send(self), self._configured, self._use_settings)
        """The settings in force."""

    def _use_settings(self) -> None:
        """The settings were read, or are others now: forget what was made of them."""

    def _configured(self) -> None:
        self._use_settings()
        self.on_after_configure.send(self, source=self.conf)

    @property
    def url(self) -> str:
        """Where the mesh is."""
        return self.conf.settings.url

    @url.setter
    def url(self, url: str) -> None:
        self.conf.url = url

    @property
    def key(self) -> str:
        """Path of the key file; empty: none."""
        return self.conf.settings.key

    @key.setter
    def key(self, path: str) -> None:
        self.conf.key = path

    @property
    def insecure(self) -> bool:
        """Whether coordinators on other hosts are talked to without a key."""
        return self.conf.settings.insecure

    @insecure.setter
    def insecure(self, insecure: bool) -> None:
        self.conf.insecure = insecure

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Have the settings of an object, a mapping, or, by name, of a module (``"proj.config"``) or a TOML file
        (``"/etc/proj.toml"``). They are read at the first use of a setting, or now with `force`.

        namespace: only names that begin so, as in ``CELERY_TASK_TIME_LIMIT`` with ``"CELERY"``. Raises ImportError or
        OSError where there is no such module or file, unless `silent`; and ImproperlyConfigured for names that are no
        settings, and for values that cannot be.
        """
        self.conf.add_source(partial(read_source, obj, silent, namespace or self.namespace))
        if force:
            self.conf.settings  # noqa: B018 - it is read.

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> None:
        """As `config_from_object`, with the name of the module or file in an environment variable.

        Raises ImproperlyConfigured if it is not set, unless `silent`.
        """
        name = os.environ.get(variable_name)
        if name:
            self.config_from_object(name, silent, force)
        elif not silent:
            raise ImproperlyConfigured(
                f"the environment variable {variable_name} is not set: it names the module, or the TOML file, with the "
                f"settings; or pass silent=True"
            )

    def add_defaults(self, defaults: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Settings that hold where nobody says anything else; or a function that returns them when they are read."""
        self.conf.add_defaults(defaults)

    @property
    def timezone(self) -> tzinfo | None:
        """What datetimes without a zone mean; None: local time."""
        return self.conf.zone

    def now(self) -> datetime:
        """The time now, in the application's zone."""
        return datetime.now(timezone.utc).astimezone(self.conf.zone)
