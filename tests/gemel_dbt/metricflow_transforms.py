"""Runs in MetricFlow's Python: a manifest on stdin, as MetricFlow rewrites it before it starts on stdout."""

import sys

from metricflow_semantic_interfaces.implementations.semantic_manifest import PydanticSemanticManifest
from metricflow_semantic_interfaces.transformations.semantic_manifest_transformer import (
    PydanticSemanticManifestTransformer,
)

manifest = PydanticSemanticManifest.parse_raw(sys.stdin.read())
print(PydanticSemanticManifestTransformer.transform(manifest).json())
