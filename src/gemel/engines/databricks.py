"""Databricks: Spark, under another name and at another address."""

from dataclasses import replace

from gemel.engines.spark import SPARK

DATABRICKS = replace(SPARK, name="databricks", dialect="databricks", address=("host",))
