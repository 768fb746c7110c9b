"""Environments of peers, found or not."""

import sys

from tests.benchmarks.environment import Environment
from tests.benchmarks.peers import interpreter_of


def test_an_environment_never_made_tells_how_to_make_it(tmp_path):
    reason = Environment("autogen", tmp_path).missing()
    assert reason == "requirements/bench-autogen.txt is not installed (make bench-peers)"


def test_one_that_failed_to_install_gives_the_last_words_of_pip(tmp_path):
    environment = Environment("slim", tmp_path)
    environment.folder.mkdir()
    (environment.folder / "install.log").write_text("Collecting x\nERROR: No matching version\n\n")
    assert (environment.missing() or "").endswith(
        "pip said: Collecting x / ERROR: No matching version"
    )


def test_one_that_was_made_is_not_missing_and_tells_its_versions(tmp_path):
    environment = Environment("slim", tmp_path)
    metadata = environment.folder / "lib/python3.11/site-packages/slim_bindings-3.3.8.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Name: slim-bindings\nVersion: 3.3.8\n")
    environment.interpreter.parent.mkdir()
    environment.interpreter.touch()
    (environment.folder / ".installed").touch()
    assert environment.missing() is None
    assert environment.versions("slim-bindings", "absent") == {"slim-bindings": "3.3.8"}


def test_only_peers_with_an_environment_of_their_own_run_in_another_interpreter():
    assert interpreter_of("nats") == interpreter_of("no such peer") == sys.executable
    assert interpreter_of("slim").endswith(".venv-bench-slim/bin/python")
