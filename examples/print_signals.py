"""A subscriber in ten lines: prints every signal on the bus."""

import asyncio

from bellwire.client import connect
from bellwire.trading.v1.signal_pb2 import Side, Signal


async def main(address: str = "127.0.0.1:7400") -> None:
    async with connect(address) as client, client.subscribe("signals.>") as signals:
        async for message in signals:
            signal = Signal.FromString(message.data)
            print(message.topic, signal.symbol, Side.Name(signal.side))


if __name__ == "__main__":
    asyncio.run(main())
