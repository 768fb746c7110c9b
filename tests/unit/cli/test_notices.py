"""bellwire.cli.notices: what is logged while a verb runs, on stderr."""

from __future__ import annotations

import logging
import re

from bellwire.cli.notices import notices


def test_warnings_of_all_and_news_of_some_are_lines_with_the_time(capsys) -> None:
    with notices("bellwire.models"):
        logging.getLogger("bellwire.models").info("actor:4: is in order again")
        logging.getLogger("bellwire.client").info("next try in 0.1 s")
        logging.getLogger("bellwire.client").warning("lost\x1b[2J")
        logging.getLogger("somebody.else").info("nothing of ours")
    told = capsys.readouterr()
    assert told.out == ""
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in told.err.splitlines()]
    assert lines == ["actor:4: is in order again", "lost\\x1b[2J"]


def test_afterwards_nothing_is_printed_and_the_level_is_what_it_was(capsys) -> None:
    logger = logging.getLogger("bellwire")
    level, handlers = logger.level, list(logger.handlers)
    with notices():
        pass
    assert (logger.level, logger.handlers) == (level, handlers)
