"""Databricks: Spark under another name and address."""

from dataclasses import replace

from gemel.engines.spark import SPARK

DATABRICKS = replace(SPARK, name="databricks", dialect="databricks", address=("host",), create_table="{}")
