"""Guards of the house itself: the namespace, its type markers, its pins."""

import re
import tomllib
from pathlib import Path

import pytest

import bellwire

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = ("proto", "clients", "coordinator", "agents")
PINNED = ("demo", "dev", "gen", "bench")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def leaf_packages() -> list[Path]:
    """The topmost folders of each root that hold Python code."""
    leaves: list[Path] = []
    for root in ROOTS:
        holding_code = {code.parent for code in (REPOSITORY / root / "bellwire").rglob("*.py")}
        leaves += [
            folder
            for folder in holding_code
            if not any(up in holding_code for up in folder.parents)
        ]
    return sorted(leaves)


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pin in PIN.finditer((REPOSITORY / "requirements" / f"{name}.txt").read_text()):
        found.setdefault(pin["name"], set()).add(pin["version"])
    return found


@pytest.mark.parametrize("root", ROOTS)
def test_root_has_no_init_that_would_hide_the_other_roots(root: str) -> None:
    assert not (REPOSITORY / root / "bellwire" / "__init__.py").exists()
    assert not (REPOSITORY / root / "__init__.py").exists()


def test_bellwire_is_a_namespace_over_all_four_roots() -> None:
    assert getattr(bellwire, "__file__", None) is None
    portions = {Path(portion).resolve() for portion in bellwire.__path__}
    assert {REPOSITORY / root / "bellwire" for root in ROOTS} <= portions


def test_every_leaf_package_says_that_it_is_typed() -> None:
    leaves = leaf_packages()
    assert leaves, "no package found: are the roots where this test looks?"
    untyped = [leaf for leaf in leaves if not (leaf / "py.typed").is_file()]
    assert untyped == []


def test_every_leaf_package_has_a_door() -> None:
    assert [leaf for leaf in leaf_packages() if not (leaf / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    "file", sorted((REPOSITORY / "requirements").glob("*.txt")), ids=lambda file: file.name
)
def test_requirements_name_no_host_and_no_local_folder(file: Path) -> None:
    offending = [
        line
        for line in file.read_text().splitlines()
        if "://" in line or re.match(r"\s*(-i|-f|--(extra-)?index-url|--find-links)\b", line)
    ]
    assert offending == []


@pytest.mark.parametrize("name", PINNED)
def test_every_pin_carries_a_hash(name: str) -> None:
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    pinned = [block for block in blocks if PIN.match(block)]
    assert pinned
    assert [block for block in pinned if "--hash=sha256:" not in block] == []


def test_demo_and_dev_pin_the_same_versions() -> None:
    demo, dev = pins("demo"), pins("dev")
    assert {name: dev.get(name) for name in demo} == demo


def test_demo_needs_neither_torch_nor_a_broker_client() -> None:
    assert not {"torch", "onnxruntime", "aiokafka", "redis"} & set(pins("demo"))


def test_no_requirement_of_the_base_install_is_missing_from_the_demo() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["server"], *extras["cli"]]
    names = {re.split(r"[<>=!\[; ]", requirement, maxsplit=1)[0] for requirement in wanted}
    assert names - set(pins("demo")) == set()
