"""Finding the modules that define tasks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec


def discover(packages: Iterable[str], related_name: str) -> None:
    """Import the module `related_name` of each package; an empty name: the packages themselves.

    A package without it is left out. What a module raises when it is imported comes out.
    """
    for package in packages:
        if not related_name:
            import_module(package)
        elif has_module(package, related_name):
            import_module(f"{package}.{related_name}")


def has_module(package: str, name: str) -> bool:
    """Whether a package is there that has that module."""
    try:
        return find_spec(f"{package}.{name}") is not None
    except ModuleNotFoundError as error:
        if error.name is not None and f"{package}.{name}".startswith(error.name):
            return False
        raise


def django_packages() -> list[str]:
    """The applications that are installed in Django's sense; none without it, or without settings of it."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return []
    try:
        django = import_module("django")
        registry = import_module("django.apps")
    except ImportError:
        return []
    if not registry.apps.ready:
        django.setup()
    return [each.name for each in registry.apps.get_app_configs()]
