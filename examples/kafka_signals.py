"""Print the signals that a bridge mirrors to Kafka: a plain consumer, without the bus.

make kafka                                                  # a broker on 127.0.0.1:9092
bellwire serve
bellwire bridge --out 'signals.>'
python examples/kafka_signals.py signals.tactical           # pip install confluent-kafka
"""

import sys

from confluent_kafka import Consumer, KafkaError, KafkaException

from bellwire.client.kafka import CloudEventError, decode, origin_of, payload_of
from bellwire.trading.v1.signal_pb2 import Side, Signal


def main(topic: str = "signals.tactical", brokers: str = "127.0.0.1:9092", count: int = 0) -> None:
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": "print-signals", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    printed = 0
    try:
        while not count or printed < count:
            record = consumer.poll(1.0)
            if record is None:
                continue
            if record.error():
                trouble = record.error()
                if trouble.retriable() or trouble.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue  # The bridge makes the topic with the first signal.
                raise KafkaException(trouble)
            try:
                signal = payload_of(decode(record.key(), record.value(), record.headers()), Signal)
            except CloudEventError as error:
                print(f"{topic} offset {record.offset()} is no signal: {error.message}")
                continue
            print(signal.symbol, Side.Name(signal.side), origin_of(record.headers()), flush=True)
            printed += 1
    finally:
        consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
