"""The timer of `bellwire loadtest`: event loops count in milliseconds, a 10 k/s load cannot."""

from bellwire.cli.loadtest.kernel_timer import KernelTimer

__all__ = ["KernelTimer"]
