"""A Kafka broker of one node on loopback, for tests and for trying things out: plain Java, no container.

Where it comes from, in this order: a broker that runs already (`BELLWIRE_KAFKA_BOOTSTRAP`), jars on the disk
(`BELLWIRE_KAFKA_CLASSPATH`), or Maven, which fetches them once into the user's cache.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bellwire.testing.kafka_jars import (
    BOOTSTRAP_VARIABLE,
    CLASSPATH_VARIABLE,
    LOG_CHARACTERS_MAX,
    VERSION,
    KafkaMissingError,
    kafka_classpath,
    tool,
)
from bellwire.testing.kafka_listeners import SecuredListeners

__all__ = [
    "BOOTSTRAP_VARIABLE",
    "CLASSPATH_VARIABLE",
    "KafkaMissingError",
    "RunningKafka",
    "free_port",
    "kafka_classpath",
    "running_kafka",
]

CLUSTER_ID_BYTES: Final = 16
JAVA_MIN: Final = 17  # What Kafka 4 is compiled for.
HEAP: Final = ("-Xms192m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# Into broker.log: what is wrong, and nothing else.
LOGGING: Final = ("-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
READY_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 2.0  # For one connection or one request to a broker that may be starting.
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.1
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{more_listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
log.dir={data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
log.cleaner.dedupe.buffer.size=2097152
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
{more}"""


class RunningKafka:
    """A broker that was started here, and its data.

    `start`, `kill` and `stop` block; in an event loop they belong into `asyncio.to_thread`. A broker that was
    killed takes its place again after its session has ended, which is 3 s here and 9 s by default.

    Attributes:
        bootstrap: HOST:PORT of it, the same after a restart.
    """

    def __init__(
        self, classpath: str, folder: Path, port: int = 0, secured: SecuredListeners | None = None
    ) -> None:
        self._classpath = classpath
        self._folder = folder
        self._properties = folder / "server.properties"
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = port = port or free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        data = folder / "data"
        self._properties.write_text(
            _PROPERTIES.format(
                port=port,
                controller=free_port(),
                data=data,
                more_listeners=secured.listeners() if secured else "",
                more=secured.properties() if secured else "",
            )
        )
        if not (data / "meta.properties").exists():
            # An id that begins with "-" would be taken for an option.
            cluster = "b" + secrets.token_urlsafe(CLUSTER_ID_BYTES)[1:]
            users = secured.format_arguments() if secured else []
            self._java(
                "kafka.tools.StorageTool", "format", "--standalone", *users, "-t", cluster, "-c"
            )

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            KafkaMissingError: Its port is taken, or it does not start; with the end of its log.
        """
        assert self._process is None, "it runs already"
        if not _is_free(self._port):
            # Else whoever listens there would be taken for it.
            raise KafkaMissingError(
                f"port {self._port} of 127.0.0.1 is taken, by another broker perhaps: stop that, or choose another port"
            )
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._properties)), stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_SECONDS
        while _is_free(self._port) or not asyncio.run(_answers(self.bootstrap)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise KafkaMissingError(f"Kafka does not start: {self._tail()}")
            time.sleep(POLL_SECONDS)

    @property
    def pid(self) -> int:
        """Its process, while it runs."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut it down in order, or with SIGKILL when that takes too long."""
        self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it ends by itself; return its exit status."""
        assert self._process is not None
        return self._process.wait()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _java(self, main: str, *arguments: str) -> None:
        command = self._command(main, *arguments, str(self._properties))
        done = subprocess.run(command, capture_output=True, check=False, timeout=READY_SECONDS)
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            hint = (
                f"; Kafka {VERSION} needs Java {JAVA_MIN}"
                if "UnsupportedClassVersion" in said
                else ""
            )
            raise KafkaMissingError(f"{main} failed: {said[-LOG_CHARACTERS_MAX:].strip()}{hint}")

    def _command(self, main: str, *arguments: str) -> list[str]:
        return [tool("java"), *HEAP, *LOGGING, "-cp", self._classpath, main, *arguments]

    def _tail(self) -> str:
        with suppress(OSError):
            said = self._log.read_text(errors="replace")[-LOG_CHARACTERS_MAX:]
            return said or "it said nothing"
        return "it left no log"


@contextmanager
def running_kafka(
    folder: Path | None = None, port: int = 0, secured: SecuredListeners | None = None
) -> Iterator[RunningKafka]:
    """Run a broker.

    Args:
        folder: Of its data, kept; None = a temporary one.
        port: 0 = a free one.
        secured: Listeners beside the plain one.

    Raises:
        KafkaMissingError: There is no Java, no Maven, or it does not start.
    """
    classpath = kafka_classpath()
    kept = folder or Path(tempfile.mkdtemp(prefix="bellwire-kafka-"))
    kept.mkdir(parents=True, exist_ok=True)
    try:
        broker = RunningKafka(classpath, kept, port, secured)
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()
    finally:
        if folder is None:
            shutil.rmtree(kept, ignore_errors=True)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    """Tell whether nobody listens there: asking a Kafka client would fill its log with failures."""
    with socket.socket() as probe:
        probe.settimeout(LOOK_SECONDS)
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def _answers(bootstrap: str) -> bool:
    """Tell whether a broker gives its metadata, which it does later than it takes connections."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap, request_timeout_ms=round(LOOK_SECONDS * 1_000)
    )
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError, KeyError):
        return False
    finally:
        with suppress(KafkaError, OSError):
            await admin.close()


def main(arguments: list[str]) -> int:
    """Run a broker in the foreground, or only fetch it; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bellwire.testing.kafka", description=__doc__)
    parser.add_argument("--fetch", action="store_true", help="fetch it, run nothing")
    parser.add_argument("--port", type=int, default=0, help="0 = a free one")
    parser.add_argument(
        "--data", default="", help="folder that keeps its data; else it is temporary"
    )
    options = parser.parse_args(arguments)
    # As Ctrl-C: else the broker would be left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.fetch:
            print(f"Kafka {VERSION}: {kafka_classpath()}")
            return 0
        with running_kafka(Path(options.data) if options.data else None, options.port) as broker:
            print(f"Kafka {VERSION} listens on {broker.bootstrap}; Ctrl-C ends it", flush=True)
            print(
                f"durable topics on it: bellwire serve --kafka {broker.bootstrap} --default-log kafka"
            )
            return broker.wait()
    except KafkaMissingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
