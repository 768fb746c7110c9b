"""What all tests share: Hypothesis without wall-clock verdicts, and tools that may be absent."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a property; each test has a timeout of its own (pyproject.toml).
settings.register_profile(
    "bellwire",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("bellwire")

TOOLS_ARE_REQUIRED = bool(os.environ.get("BELLWIRE_REQUIRE_TOOLS"))


@pytest.fixture(scope="session")
def find_tool() -> Callable[[str], Path]:
    """A finder of commands such as grpcurl: absent ones skip the test, in CI they fail it."""

    def find(name: str) -> Path:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
        reason = f"{name} is not on PATH; .ci/run installs it"
        if TOOLS_ARE_REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)

    return find
