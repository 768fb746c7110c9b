"""Real market data for the demo and the tests; NOTICE beside it names origin and licence."""

from bellwire.agents.data.series import (
    BUNDLED_SERIES,
    EURUSD_1H,
    IBM_1D,
    NOTICE,
    BundledSeries,
)

__all__ = ["BUNDLED_SERIES", "EURUSD_1H", "IBM_1D", "NOTICE", "BundledSeries"]
