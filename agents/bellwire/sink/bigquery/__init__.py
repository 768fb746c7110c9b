"""A BigQuery table as the place of a sink's rows, over the Storage Write API. Needs the extra `bigquery`."""

from bellwire.sink.bigquery.writer import BigQueryWriter

__all__ = ["BigQueryWriter"]
