"""Databricks: Spark, under another name and at another address."""

from dataclasses import replace

from gemel.engines.spark import SPARK

DATABRICKS = replace(SPARK, dialect="databricks", adapters=("databricks",), address=("host",))
