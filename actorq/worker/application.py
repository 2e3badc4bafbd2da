"""Finding the user's application, from the name that is given on the command line."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any

from actorq.errors import ActorqError, ImproperlyConfigured, nearest
from actorq.policies.queues import Queues
from actorq.settings import Settings
from actorq.settings.configurable import Configurable
from actorq.settings.tasks import payloads_of
from actorq.wire.payload import Serializers
from actorq.worker.jobs import Application, TaskLike

logger = logging.getLogger("actorq.worker")

USUAL_NAMES = ("app", "celery", "actorq")


class NoApplication(Configurable):
    """What a worker runs without `-A`: functions by value, which bring everything with them."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, TaskLike] = {}
        self.offered: frozenset[str] = frozenset()
        self.serializers = Serializers.default(Settings().accept_content)

    @property
    def amqp(self) -> NoApplication:
        """Where its queues are."""
        return self

    @property
    def queues(self) -> Queues:
        """The default one, or what the settings say."""
        settings = self.conf.settings
        return Queues(settings.task_queues, settings.task_create_missing_queues, settings.task_default_queue)

    def _use_settings(self) -> None:
        self.serializers.follow(*payloads_of(self.conf.settings))


def find_application(name: str) -> Application:
    """The application ``module:attribute`` or ``module.attribute``; or the one that ``module`` has, by a usual name;
    of a package, its module ``celery``, say, may have it.

    Raises ImproperlyConfigured if there is none, or several, and whatever the module raises when it is imported.
    """
    if not name:
        return NoApplication()
    module_name, _, attribute = name.partition(":")
    try:
        module = _import(module_name)
    except ImproperlyConfigured:
        parent, _, last = module_name.rpartition(".")
        value: Any = getattr(sys.modules.get(parent), last, None)  # Whoever imports a.b has imported a.
        if attribute or not is_application(value):
            raise
        return value  # type: ignore[no-any-return]
    if attribute:
        return _attribute(module, attribute)
    application = _of_module(module) or _of_package(module)
    if application is None:
        raise ImproperlyConfigured(
            f"module {module_name} has no application: make one in it, app = ActorQ({module_name!r}), or name its "
            f"attribute"
        )
    return application


def find_embedded(name: str) -> Application:
    """As `find_application`, for a program's own worker: one that has no tasks if that application cannot be imported."""
    try:
        return find_application(name)
    except (Exception, SystemExit):
        logger.warning("%s cannot be imported at the start; calls that need it say why", name, exc_info=True)
        return NoApplication()


def _of_module(module: ModuleType) -> Application | None:
    """The one that it has by a usual name; else its only one. Raises ImproperlyConfigured if there are several."""
    found = {key: value for key, value in vars(module).items() if is_application(value)}
    for usual in USUAL_NAMES:
        if usual in found:
            application: Application = found[usual]
            return application
    if len({id(value) for value in found.values()}) > 1:
        first, name = next(iter(found)), module.__name__
        raise ImproperlyConfigured(
            f"module {name} has several applications ({', '.join(found)}): name one, as in {name}:{first}"
        )
    return next(iter(found.values()), None)


def _of_package(package: ModuleType) -> Application | None:
    """The one in a module with a usual name, as projects have it that were written for Celery: in ``proj/celery.py``."""
    for usual in USUAL_NAMES:
        name = f"{package.__name__}.{usual}"
        if hasattr(package, "__path__") and find_spec(name) is not None:
            application = _of_module(import_module(name))
            if application is not None:
                return application
    return None


def is_application(value: Any) -> bool:
    """Whether it has what a worker needs. A module or a class that happens to have these names is none."""
    if isinstance(value, (type, ModuleType)):
        return False
    return isinstance(getattr(value, "serializers", None), Serializers) and hasattr(value, "tasks")


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ImproperlyConfigured(
                f"there is no module {name!r} (missing: {error.name!r}): start the worker in the directory that has "
                f"it, install it, or set PYTHONPATH"
            ) from None
        raise
    except ActorqError as error:
        raise ImproperlyConfigured(f"{_place_of(error)}: {error}") from error


def _place_of(error: Exception) -> str:
    """The line of the user's that has made the error, for people."""
    own = str(Path(__file__).parents[1])
    lines = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    file, line = [each for each in lines if not each[0].startswith((own, "<frozen "))][-1]
    return f"{file}, line {line}"


def _attribute(module: ModuleType, attribute: str) -> Application:
    value = getattr(module, attribute, None)
    if value is None:
        names = [key for key, each in vars(module).items() if is_application(each)]
        hint = nearest(attribute, names) or f"its applications are: {', '.join(names) or 'none'}"
        raise ImproperlyConfigured(f"module {module.__name__} has no attribute {attribute!r}: {hint}")
    if not is_application(value):
        raise ImproperlyConfigured(f"{module.__name__}:{attribute} is not an application, but {value!r}")
    return value  # type: ignore[no-any-return]
