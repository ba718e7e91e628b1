"""The hashes of the example's definitions, and how a plan is written for them.

A hash that changes makes every user build feature tables again, and shows every metric as changed. If this test fails,
that is because you changed

- a definition of the example: nothing is wrong. `GEMEL_WRITE_GOLDEN=1 pytest tests/features/test_definition_hashes.py`
  writes the hashes anew.
- the plan of features, their SQL, or how a fingerprint is written. If it computes other values, hashes must change:
  write the hashes anew, and say in CHANGELOG.md which tables have to be built again. If not, keep them: a new part
  of a node is written by name, and only where it is set (`_form` in compiler/sql/fingerprints.py).
- the version of sqlglot: as with the plan.
"""

import json
import os
from dataclasses import fields, is_dataclass
from pathlib import Path

from sqlglot import exp

from gemel.compiler.plan import algebra
from gemel.compiler.sql import dialects
from gemel.compiler.sql.fingerprints import _form, _Writer
from gemel.engines.duckdb import DIALECT
from gemel.features.opened import open_features
from gemel.features.tables import Tables
from gemel.graph.building import read_graph
from gemel.session import open_session
from gemel.spec.manifest import Relation
from gemel.spec.metrics import Percentile
from gemel.spec.time import Window

PINNED = Path(__file__).with_name("definition_hashes.json")


def hashes(project):
    session = open_session(project)
    graph, tables = session.once(read_graph), Tables(session.graph)
    for metric in sorted(session.graph.metrics):
        if f"metric:{metric}" in graph.definitions.nodes:
            yield f"metric {metric}", graph.meaning(f"metric:{metric}")
    for query in sorted(session.graph.saved_queries):
        yield f"saved query {query}", graph.meaning(f"saved_query:{query}")
    for view in sorted(open_features(session).views, key=lambda view: view.name):
        yield f"table {view.name}", tables.digest(view)
        yield from ((f"feature {view.name}.{name}", digest) for name, digest in sorted(tables.digests(view).items()))


def test_the_hashes_of_the_example_stay(parsed_example):
    found = dict(hashes(parsed_example))
    if os.environ.get("GEMEL_WRITE_GOLDEN"):
        PINNED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    pinned = json.loads(PINNED.read_text(encoding="utf-8"))
    changed = [name for name, hash in pinned.items() if found.get(name) != hash]
    assert not changed, f"the top of {__file__} says what to do"


ROWS = algebra.Scan(Relation("orders", "shop"), "o")
GROUPED = algebra.Aggregate(ROWS, (algebra.Named("k", exp.column("k", "o")),), ())
DAYS = algebra.Moments(GROUPED, ("k",), "t", (Window(7, "day"),), exp.column("t"), Window(1, "day"))
A, B = exp.column("a"), exp.column("b")
HALF = Percentile(0.5, discrete=True)
WRITTEN = {
    algebra.Named("n", A): "named('n', a)",
    ROWS: "scan(orders, 'o')",
    algebra.Lookup(ROWS, ROWS, A): "lookup(scan(orders, 'o'), scan(orders, 'o'), a)",
    algebra.Join(ROWS, ROWS, A, "left"): "join('left', scan(orders, 'o'), scan(orders, 'o'), a)",
    algebra.Filter(ROWS, A): "filter(scan(orders, 'o'), a)",
    algebra.Summary("n", "sum", A): "summary('n', 'sum', a)",
    algebra.Summary("n", "percentile", A, B, HALF): (
        "summary('n', 'percentile', a, where b, at percentile 0.5 discrete)"
    ),
    GROUPED: "aggregate(scan(orders, 'o'), (named('k', o.k)), ())",
    algebra.Distinct(ROWS, ()): "distinct(scan(orders, 'o'), ())",
    algebra.Combine((GROUPED,), ("k",)): "combine((aggregate(scan(orders, 'o'), (named('k', o.k)), ())), ('k'))",
    algebra.Stack((ROWS,), "both"): "stack((scan(orders, 'o')), 'both')",
    DAYS: "moments(1 day)",
    algebra.Calendar(ROWS, "t", ("k",)): "calendar(scan(orders, 'o'), 't', ('k'))",
    algebra.Calendar(ROWS, "t", (), "last"): "calendar(scan(orders, 'o'), 't', (), of a period 'last')",
    algebra.Windowed("n", "min", "v"): "windowed('n', 'min', 'v')",
    algebra.Windowed("n", "min", "v", "month"): "windowed('n', 'min', 'v', back 'month')",
    algebra.AsOf(DAYS, ROWS, Window(1, "hour"), ()): "as of(moments(1 day), scan(orders, 'o'), 1 hour, ())",
    algebra.Derive(ROWS, ()): "derive(scan(orders, 'o'), ())",
    algebra.Top(ROWS, (("k", True),)): "top(scan(orders, 'o'), (('k', True)))",
    algebra.Top(ROWS, (), 5): "top(scan(orders, 'o'), (), limit 5)",
}


def test_a_plan_is_written_in_words_of_its_own():
    writer = _Writer(None, {}, dialects.generator(DIALECT))
    assert {node: writer.write(node) for node in WRITTEN} == WRITTEN


def test_every_field_of_every_node_is_written():
    nodes = {each for each in vars(algebra).values() if is_dataclass(each) and each.__module__ == algebra.__name__}
    # That the versions of a history do not overlap is for whoever runs the SQL, and changes no value.
    assert {type(node) for node in WRITTEN} == nodes - {algebra.Versions}
    for node in WRITTEN:
        if not isinstance(node, algebra.Moments):  # the others depend on the other features of a table
            _, parts, more = _form(node)
            unwritten = {"versions"} & {field.name for field in fields(node)}
            assert len(parts) + len(more) + len(unwritten) == len(fields(node)), node
