"""What is slow to import is imported when it is first needed."""

from __future__ import annotations

import subprocess
import sys

from tests.support import REPOSITORY


def test_the_package_imports_nothing_slow() -> None:
    script = (
        "import sys, actorq.wire.payload\n"
        "slow = {'cloudpickle', 'pickle', 'json', 'numpy', 'hashlib', 'traceback', 'zoneinfo', 'gevent', 'zmq'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True, timeout=30)
