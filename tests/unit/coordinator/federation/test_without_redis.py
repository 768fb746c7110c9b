"""A coordinator that stands alone loads nothing of what several need."""

from __future__ import annotations

import subprocess
import sys

ALONE = """
import asyncio, sys
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator

async def main() -> None:
    async with Coordinator(CoordinatorSettings(listen=("127.0.0.1:0",))):
        print(sorted(m for m in sys.modules if m.startswith(("redis", "bellwire.coordinator.federation"))))

asyncio.run(main())
"""


def test_nothing_of_the_federation_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "[]\n", done.stderr
