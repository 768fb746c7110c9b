"""Where the class of an agent is: "module:Class", or "path/to/file.py:Class"."""

import contextlib
import importlib
import importlib.util
import os
import sys
import traceback
import types
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, cast

from bellwire.runtime.agent import Agent
from bellwire.runtime.errors import AgentDefinitionError

FILE_SUFFIX: Final = ".py"


@dataclass(frozen=True, slots=True)
class Target:
    """A class in a module that can be imported, or in a file.

    Raises:
        AgentDefinitionError: It is written in neither way.
    """

    place: str
    """Module, or path of a file that ends in ".py"."""
    class_name: str

    def __post_init__(self) -> None:
        """Refuse what names no class."""
        if not self.place or not self.class_name.isidentifier():
            raise AgentDefinitionError(
                f"agent {str(self)!r} names no class; write 'module:Class' or 'path/to/file.py:Class'"
            )

    def __str__(self) -> str:
        return f"{self.place}:{self.class_name}" if self.class_name else self.place

    @property
    def is_file(self) -> bool:
        """Whether the class is in a file instead of an importable module."""
        return self.place.endswith(FILE_SUFFIX)


def parse_target(text: str) -> Target:
    """Read a target as people write it; the last colon parts place and class.

    Raises:
        AgentDefinitionError: It is written in neither way.
    """
    place, colon, class_name = text.rpartition(":")
    return Target(place, class_name) if colon else Target(text, "")


def load_class(text: str) -> type[Agent]:
    """Import the class of an agent; modules in the working folder are found last.

    Raises:
        AgentDefinitionError: No such module, file or class, it fails when it is imported, or the
            class is no Agent.
    """
    target = parse_target(text)
    with contextlib.suppress(FileNotFoundError):  # The working folder may be gone.
        _find_in(os.getcwd())
    try:
        module = _from_file(target) if target.is_file else importlib.import_module(target.place)
    except Exception as error:
        is_missing = isinstance(error, ModuleNotFoundError | FileNotFoundError)
        way_out = (
            "write 'module:Class' or 'path/to/file.py:Class'" if is_missing else "mend it there"
        )
        raise AgentDefinitionError(
            f"agent {text!r} cannot be imported: {told(error)}; {way_out}"
        ) from error
    found = getattr(module, target.class_name, None)
    if found is None:
        there = ", ".join(_agents_in(module)) or "none"
        raise AgentDefinitionError(
            f"agent {text!r} cannot be imported: {target.place} has no {target.class_name!r}; "
            f"its agents are: {there}"
        )
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise AgentDefinitionError(
            f"{text!r} is no subclass of bellwire.runtime.Agent; derive the class from it"
        )
    return found


def renamed(cls: type[Agent], name: str) -> type[Agent]:
    """Return the class under another name.

    Raises:
        AgentDefinitionError: No agent can be called so.
    """
    made = types.new_class(
        cls.__name__,
        (cls,),
        exec_body=lambda names: names.update(name=name, __module__=cls.__module__),
    )
    return cast(type[Agent], made)


def told(error: BaseException) -> str:
    """Return an error in one line: its kind, what it says, and the last line of code it came from."""
    said = " ".join(str(error).split())
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, ImportError | OSError | SyntaxError) or not frames:  # They name the place.
        return f"{kind}: {said}" if said else kind
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return f"{kind}: {said} ({where})" if said else f"{kind} ({where})"


def _from_file(target: Target) -> ModuleType:
    """Import a file as the module of its name; beside it lies what it imports, as for a script."""
    path = Path(target.place).absolute()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {target.place}")
    _find_in(str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"{path.stem}__{FILE_SUFFIX[1:]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{target.place} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses of the file look their module up here.
    spec.loader.exec_module(module)
    return module


def _find_in(folder: str) -> None:
    """Import from a folder too, behind all else: what is called there as a module of the standard library must not
    replace it."""
    if folder not in sys.path:
        sys.path.append(folder)


def _agents_in(module: ModuleType) -> list[str]:
    return sorted(
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Agent)
        and value.__module__ == module.__name__
    )
