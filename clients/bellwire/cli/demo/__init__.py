"""`bellwire demo`: real bars in, traced fills out."""

from bellwire.cli.demo.verb import demo

__all__ = ["demo"]
