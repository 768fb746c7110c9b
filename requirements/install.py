"""Install hash-pinned requirements, or this project itself, showing progress instead of pip's log.

Usage: python requirements/install.py FILE.txt | --project
"""

import re
import subprocess
import sys
from collections import deque
from pathlib import Path

LOG_LINES_SHOWN_ON_FAILURE = 25  # Enough for pip's error and the line that led to it.
PACKAGE_LINE = re.compile(r"(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)")
PIN_LINE = re.compile(r"[A-Za-z0-9._-]+==")


def run_pip(arguments: list[str], label: str, total: int) -> int:
    """Run pip, count the packages it names, and return its exit status."""
    print(f"==> installing {label}", flush=True)
    on_terminal = sys.stdout.isatty()
    recent: deque[str] = deque(maxlen=LOG_LINES_SHOWN_ON_FAILURE)
    seen = 0
    command = [sys.executable, "-m", "pip", "install", "--progress-bar", "off", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            recent.append(line)
            package = PACKAGE_LINE.match(line)
            if package and total:
                seen += 1
                if on_terminal:
                    print(f"\r    {seen:>3}/{total} {package[1]:<40}", end="", flush=True)
                elif seen % 10 == 0:
                    print(f"    {seen:>3}/{total} {package[1]}", flush=True)
            elif on_terminal and line.startswith("Installing collected packages"):
                print(f"\r    unpacking{'':<40}", end="", flush=True)
    if on_terminal and seen:
        print(f"\r{'':<56}\r", end="", flush=True)
    if pip.returncode:
        print("!!! pip failed; the end of its log:", *recent, sep="\n    ", file=sys.stderr)
    return pip.returncode


def main() -> int:
    """Install what the one argument names."""
    if sys.argv[1:] == ["--project"]:
        arguments = ["--no-deps", "--no-build-isolation", "--editable", "."]
        return run_pip(arguments, "bellwire itself (editable)", total=0)
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    requirements = Path(sys.argv[1])
    pins = sum(1 for line in requirements.read_text().splitlines() if PIN_LINE.match(line))
    return run_pip(
        ["--require-hashes", "--requirement", str(requirements)],
        f"{requirements} ({pins} packages)",
        total=pins,
    )


if __name__ == "__main__":
    sys.exit(main())
