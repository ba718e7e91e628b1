"""gemel lineage, on a manifest with no dbt around it."""

import json


def test_a_tree_on_either_side_tells_each_node_once(gemel):
    ran = gemel("lineage", "per_order")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == TREE


TREE = """\
metric per_order

comes from:
├── metric revenue
│   └── measure amount
│       ├── column sales.amount
│       ├── rows of sales
│       └── dimension sale__sold_at  (group by)
│           └── column sales.sold_at
└── metric orders
    └── measure sale_count
        ├── rows of sales
        └── dimension sale__sold_at  (group by, above)

goes to: nothing

not known by columns:
  model sales: dbt's manifest.json does not have it: run `dbt parse`
"""


UNKNOWN = TREE.splitlines()[-3:]


def test_impact_is_reported_by_kind(gemel):
    ran = gemel("lineage", "sales.region", "--impact")
    assert ran.out.splitlines() == [
        "dimensions (1)",
        "  sale__region",
        "saved queries (1)",
        "  by_region",
        *UNKNOWN,
    ]
    ran = gemel("lineage", "sales.sold_at", "--impact")
    assert "  per_order  (only by which rows count, or how they are grouped)" in ran.out.splitlines()
    assert gemel("lineage", "per_order", "--impact").out == "nothing else changes\n"


def test_json_has_nodes_edges_and_what_is_unresolved(gemel):
    content = json.loads(gemel("lineage", "revenue", "--up", "--format", "json").out)
    assert content["starts"] == ["metric:revenue"]
    assert {"from": "measure:amount", "to": "metric:revenue", "why": "identity", "direct": True} in content["edges"]
    assert content["unresolved"] == [{"node": "model:sales", "reason": UNKNOWN[-1].partition("sales: ")[2]}]
    content = json.loads(gemel("lineage", "amount", "--impact", "--format", "json").out)
    assert [node["name"] for node in content["impact"]["metric"]] == ["per_order", "revenue"]


def test_an_unknown_name_is_refused(gemel):
    ran = gemel("lineage", "revnue")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "G751 nothing is named 'revnue'\n  hint: did you mean revenue?\n"
