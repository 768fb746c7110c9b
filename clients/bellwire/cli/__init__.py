"""The `bellwire` command: one module per verb; `bellwire.cli.main` is its door."""

__all__: list[str] = []
