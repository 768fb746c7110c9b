"""An agent in fifteen lines: buys when a bar closes above the highest close it has seen."""

import argparse
import asyncio
import sys

from bellwire.client import UnreachableError
from bellwire.runtime import Agent, MessageContext, run_agent, subscribe, tool
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import SIDE_BUY, SIGNAL_ACTION_ENTER, Signal


class Breakout(Agent):
    name, publishes = "breakout", ("signals.breakout",)
    highest = 0.0

    @subscribe("bars.1h", Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> Signal | None:
        previous, self.highest = self.highest, max(self.highest, float(bar.close))
        if 0 < previous < float(bar.close):
            return Signal(symbol=bar.symbol, action=SIGNAL_ACTION_ENTER, side=SIDE_BUY)
        return None

    @tool(description="Return the highest close seen so far.")
    async def highest_close(self) -> dict[str, float]:
        return {"highest": self.highest}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?", default="127.0.0.1:7400", help="of the coordinator")
    try:
        asyncio.run(run_agent(Breakout(), parser.parse_args().address))
    except UnreachableError as error:
        sys.exit(f"error: {error.message}")
