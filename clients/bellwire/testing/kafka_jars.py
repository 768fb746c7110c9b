"""What a Kafka broker runs from: jars that Maven fetches once into the user's cache, or that are on the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

VERSION: Final = "4.1.1"  # As in deploy/kafka/pom.xml.
BOOTSTRAP_VARIABLE: Final = "BELLWIRE_KAFKA_BOOTSTRAP"
CLASSPATH_VARIABLE: Final = "BELLWIRE_KAFKA_CLASSPATH"
LOG_CHARACTERS_MAX: Final = 2_000  # Of a log in an error.
FETCH_SECONDS: Final = 600.0
_POM: Final = Path(__file__).resolve().parents[3] / "deploy/kafka/pom.xml"


class KafkaMissingError(Exception):
    """There is no broker, and nothing to start one with; says what is missing."""


def kafka_classpath(*, fetch: bool = True) -> str:
    """Return the class path of a broker.

    Args:
        fetch: Have Maven fetch it where it is not there yet, which takes a minute.

    Raises:
        KafkaMissingError: There is no Java; or Maven is needed and is not there, or fails.
    """
    tool("java")
    given = os.environ.get(CLASSPATH_VARIABLE)
    if given:
        return given
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if not _POM.exists():
        raise KafkaMissingError(
            f"{_POM} is not here: set {CLASSPATH_VARIABLE} to the jars of Kafka"
        )
    # Other contents are fetched anew, whatever a cache holds.
    jars = cache / "bellwire" / f"kafka-{VERSION}-{crc32(_POM.read_bytes()):08x}"
    if not jars.exists():
        if not fetch:
            raise KafkaMissingError(f"Kafka {VERSION} is not here: `make kafka-jars` fetches it")
        _fetch(jars)
    return str(jars / "*")


def _fetch(jars: Path) -> None:
    jars.parent.mkdir(parents=True, exist_ok=True)
    fetched = Path(tempfile.mkdtemp(prefix="kafka-", dir=jars.parent))
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fetched}"]
    command = [tool("mvn"), "-q", "-B", "-f", str(_POM), *goal]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=FETCH_SECONDS)
        if done.returncode:
            said = done.stdout.decode(errors="replace")[-LOG_CHARACTERS_MAX:]
            raise KafkaMissingError(f"Maven fetched no Kafka: {said}")
        with suppress(OSError):  # Somebody else was quicker.
            fetched.rename(jars)
    except subprocess.TimeoutExpired:
        raise KafkaMissingError(
            f"Maven has not fetched Kafka within {FETCH_SECONDS:g} s: try `make kafka-jars` again"
        ) from None
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def tool(name: str) -> str:
    """Return the path of a command.

    Raises:
        KafkaMissingError: It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise KafkaMissingError(
            f"{name} is not installed: install Java 17 and Maven, or name a broker in {BOOTSTRAP_VARIABLE}"
        )
    return found
