"""Print the signals that a bridge mirrors to Kafka: a plain consumer, without the bus.

make kafka                                                  # a broker on 127.0.0.1:9092
bellwire serve
bellwire bridge --out 'signals.>'
python examples/kafka_signals.py signals.tactical           # pip install confluent-kafka
"""

import argparse
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException

from bellwire.client.kafka import CloudEventError, decode, origin_of, payload_of
from bellwire.trading.v1.signal_pb2 import Side, Signal

CONNECT_SECONDS = 5.0


def main(topic: str, brokers: str, count: int) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "print-signals",
            "auto.offset.reset": "earliest",
            "log_level": 2,  # A broker that is not there is said below, once.
        }
    )
    printed = 0
    try:
        consumer.list_topics(timeout=CONNECT_SECONDS)
        consumer.subscribe([topic])
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("topic", nargs="?", default="signals.tactical")
    parser.add_argument("brokers", nargs="?", default="127.0.0.1:9092")
    parser.add_argument("count", nargs="?", default=0, type=int, help="to print; 0 = all")
    arguments = parser.parse_args()
    try:
        main(arguments.topic, arguments.brokers, arguments.count)
    except KafkaException as error:
        sys.exit(f"error: Kafka at {arguments.brokers}: {error.args[0].str()}; is a broker there?")
