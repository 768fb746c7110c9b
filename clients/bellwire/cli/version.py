"""`bellwire version`."""

from __future__ import annotations

from bellwire.cli.options import JsonOption

__all__ = ["version", "versions"]


def version(json: JsonOption = False) -> None:
    """Print the versions of Bellwire and of what it stands on."""
    from bellwire.cli.output import console, plain_table, print_json

    found = versions()
    if json:
        print_json(found)
        return
    table = plain_table("", "")
    table.show_header = False
    for name, value in found.items():
        table.add_row(name, value, style="bold" if name == "bellwire" else None)
    console().print(table)


def versions() -> dict[str, str]:
    """Return versions by name: Bellwire, Python, the system, and the packages that matter."""
    import platform
    from importlib import metadata

    found = {
        "bellwire": metadata.version("bellwire"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for package in ("grpcio", "protobuf", "lz4", "opentelemetry-api", "uvloop"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
