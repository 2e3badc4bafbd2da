"""The progress bar of `app.map`: done, rate, time left."""

from __future__ import annotations

from typing import Any


class Progress:
    """Draws on standard error, with rich, which is imported at the first item."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._bar: Any = None
        self._line: Any = None
        self._is_live = False

    def advance(self, total: int | None) -> None:
        """One more item is done. Shows the bar, again if it was stopped."""
        if self._bar is None:
            self._make_bar(total)
        if not self._is_live:
            self._is_live = True
            self._bar.start()
        self._bar.advance(self._line)

    def stop(self) -> None:
        """Leave the bar as it is, and the terminal to others."""
        if self._is_live:
            self._is_live = False
            self._bar.stop()

    def _make_bar(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _rate_column(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._line = self._bar.add_task(self._description, total=total)


def _rate_column() -> Any:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text("–/s" if task.speed is None else f"{task.speed:,.0f}/s", style="progress.data.speed")

    return RateColumn()
