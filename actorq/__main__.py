"""``python -m actorq`` is the command ``actorq``."""

from __future__ import annotations

from actorq.cli.main import main

if __name__ == "__main__":
    main()
