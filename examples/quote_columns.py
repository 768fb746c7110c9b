"""Publish three updates of an order book as columns, read them in place, keep the book."""

import argparse
import asyncio
import sys

import numpy as np

from bellwire.agents.book import Flag, OrderBook, Side, l2_columns
from bellwire.client import UnreachableError, connect
from bellwire.client.columns import columns_of, from_floats, publish_columns


async def main(address: str = "127.0.0.1:7400") -> None:
    updates = l2_columns(
        sequence=np.array([1, 1, 2]),  # two rows of one event, then another event
        price=from_floats(np.array([61837.63, 61837.64, 61837.63]), scale=2),
        size=from_floats(np.array([3.5, 1.25, 0.75]), scale=8),
        side=np.array([Side.BID, Side.ASK, Side.BID]),
        flags=np.array([Flag.SNAPSHOT, 0, 0]),
        price_scale=2,
        size_scale=8,
    )
    book = OrderBook(price_scale=2, size_scale=8)
    async with connect(address) as client, client.subscribe("l2") as subscription:
        await publish_columns(client.publisher("feeds/example"), "l2", updates, key="BTCUSDT")
        async for message in subscription:
            columns = columns_of(message)  # read-only views into the message
            book.apply(columns)
            print(f"{message.key}: {len(columns)} updates, highest {columns.floats('price').max()}")
            print("best bid", book.top(1).best_bid)
            break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?", default="127.0.0.1:7400", help="of the coordinator")
    try:
        asyncio.run(main(parser.parse_args().address))
    except UnreachableError as error:
        sys.exit(f"error: {error.message}")
