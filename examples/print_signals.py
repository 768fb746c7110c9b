"""A subscriber in ten lines: prints every signal on the bus."""

import argparse
import asyncio
import sys

from bellwire.client import UnreachableError, connect
from bellwire.trading.v1.signal_pb2 import Side, Signal


async def main(address: str = "127.0.0.1:7400") -> None:
    async with connect(address) as client, client.subscribe("signals.>") as signals:
        async for message in signals:
            signal = Signal.FromString(message.data)
            print(message.topic, signal.symbol, Side.Name(signal.side))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?", default="127.0.0.1:7400", help="of the coordinator")
    try:
        asyncio.run(main(parser.parse_args().address))
    except UnreachableError as error:
        sys.exit(f"error: {error.message}")
