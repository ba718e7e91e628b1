"""How other tools read an export, from its text alone: naive evaluators that turn a query into DuckDB SQL.

Each reads a document like its tool: its tables, joins, fields and metrics. Tables that neither the field nor the
metric reads are not joined, because no tool joins them.
"""

import io
import re
import zipfile
from dataclasses import dataclass, field

import sqlglot
import yaml
from sqlglot import exp


@dataclass
class Model:
    """One fact table as a tool reads it. `joins` are its other tables: their join conditions and parent tables."""

    facts: str
    tables: dict[str, str]
    joins: dict[str, tuple[str, str]]
    fields: dict[tuple[str, str], str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    source: str | None = None

    def sql(self, metric, fields):
        """The SQL of the metric by fields, as the tool would write it."""
        keys = [self.fields[each] for each in fields]
        wanted = {c.table for text in (*keys, self.metrics[metric]) for c in parsed(text).find_all(exp.Column)}
        needed = set()
        for table in wanted:
            while table in self.joins:
                needed.add(table)
                table = self.joins[table][1]
        joins = "".join(
            f" LEFT JOIN {self.tables[table]} AS {table} ON {on}"
            for table, (on, _) in self.joins.items()
            if table in needed
        )
        listed = ", ".join([*keys, self.metrics[metric]])
        return f"SELECT {listed} FROM {self.tables[self.facts]} AS {self.facts}{joins}" + (
            " GROUP BY ALL" if keys else ""
        )


def parsed(text, dialect="duckdb"):
    return sqlglot.parse_one(text, dialect=dialect)


def over(text, dialect, replace):
    """The expression in DuckDB's SQL, with each column replaced by `replace`."""
    tree = parsed(text, dialect).transform(lambda node: replace(node) if isinstance(node, exp.Column) else node)
    return tree.sql("duckdb")


def reads_the_facts(text, dialect, facts):
    """Each aggregate reads a column of the facts, because the tool counts the rows of the table it reads."""
    for node in parsed(text, dialect).find_all(exp.AggFunc):
        inside = node.parent if isinstance(node.parent, exp.WithinGroup) else node
        assert facts in {column.table for column in inside.find_all(exp.Column)}, f"{node} reads no column of {facts}"


def osi(documents):
    """Field expressions are over the columns of their dataset, metric expressions over fields of datasets."""
    for model in [each for document in documents for each in document.get("semantic_model", [document])]:
        datasets = {each["name"]: each for each in model["datasets"]}
        facts = model["datasets"][0]["name"]
        joins = {}
        for each in model.get("relationships", ()):
            pairs = zip(each["from_columns"], each["to_columns"], strict=True)
            on = " AND ".join(f'{each["from"]}."{a}" = {each["to"]}."{b}"' for a, b in pairs)
            assert each["to"] not in joins, "two ways to one dataset"
            joins[each["to"]] = (on, each["from"])
        result = Model(facts, {name: each["source"] for name, each in datasets.items()}, joins)
        for name, dataset in datasets.items():
            for each in dataset.get("fields", ()):
                item = each["expression"]["dialects"][0]
                assert item["dialect"] == "ANSI_SQL"
                result.fields[name, each["name"]] = over(
                    item["expression"], "postgres", lambda c, name=name: exp.column(c.this, table=name)
                )
        for each in model.get("metrics", ()):
            text = each["expression"]["dialects"][0]["expression"]
            reads_the_facts(text, "postgres", facts)
            result.metrics[each["name"]] = over(
                text, "postgres", lambda c, result=result: exp.paren(parsed(result.fields[c.table, c.name]))
            )
        yield result


def cube(document):
    cubes = {each["name"]: each for each in document["cubes"]}
    for view in document["views"]:
        paths = [each["join_path"].split(".") for each in view["cubes"]]
        facts = paths[0][0]
        names = [path[-1] for path in paths]
        joins = {}
        for path in paths[1:]:
            [join] = [each for each in cubes[path[-2]]["joins"] if each["name"] == path[-1]]
            assert join["relationship"] == "many_to_one"
            joins[path[-1]] = (_members(join["sql"], path[-2], cubes), path[-2])
        result = Model(facts, {name: cubes[name]["sql_table"] for name in names}, joins)
        for name in names:
            for each in cubes[name].get("dimensions", ()):
                result.fields[name.partition("__")[2], each["name"]] = _members(each["sql"], name, cubes)
        for each in cubes[facts].get("measures", ()):
            assert each["type"] == "number"
            assert each["name"] in view["cubes"][0]["includes"]
            result.metrics[each["name"]] = _members(each["sql"], facts, cubes)
        result.fields = {(facts if t == "facts" else t, f): sql for (t, f), sql in result.fields.items()}
        yield result


def _members(text, name, cubes):
    def one(match):
        cube, _, member = match[1].partition(".")
        if not member:
            return name if cube == "CUBE" else cube
        [dimension] = [each for each in cubes[cube]["dimensions"] if each["name"] == member]
        return f"({_members(dimension['sql'], cube, cubes)})"

    return re.sub(r"\{([\w.]+)\}", one, text)


def superset(content):
    """A dataset is one table; columns and metrics are of it, under their own names."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name.partition("/")[2]: yaml.safe_load(archive.read(name)) for name in archive.namelist()}
    assert files.pop("metadata.yaml")["type"] == "SqlaTable"
    [database] = [files.pop(name) for name in list(files) if name.startswith("databases/")]
    for dataset in files.values():
        assert dataset["database_uuid"] == database["uuid"]
        shown = f"({dataset['sql']})" if "sql" in dataset else f"{dataset['schema']}.{dataset['table_name']}"
        result = Model("shown", {"shown": shown}, {})
        result.source = dataset["table_name"].removesuffix("_metrics").removesuffix("_wide")
        result.fields = {
            ("", c["column_name"]): f'shown."{c["column_name"]}"' for c in dataset["columns"] if c["groupby"]
        }
        result.metrics = {each["metric_name"]: each["expression"] for each in dataset["metrics"]}
        yield result


def databricks(text):
    for content in re.findall(r"AS \$\$\n(.*?)\$\$;", text, re.DOTALL):
        document = yaml.safe_load(content)
        assert document["version"] == "1.1"
        tables, joins = {"source": document["source"]}, {}

        def walk(items, parent, tables=tables, joins=joins):
            for each in items:
                tables[each["name"]] = each["source"]
                joins[each["name"]] = (_of_source(each["on"]), parent)
                walk(each.get("joins", ()), each["name"])

        walk(document.get("joins", ()), "source")
        result = Model("source", tables, joins)
        for each in document["dimensions"]:
            result.fields["", each["name"]] = _of_source(each["expr"])
        result.metrics = {each["name"]: _of_source(each["expr"]) for each in document["measures"]}
        names = [*result.metrics, *(name for _, name in result.fields)]
        assert len(names) == len(set(names)), "dimensions and measures share their names"
        yield result


def _of_source(text):
    """`plane.plane__maker.country` is column country of the join plane__maker, under plane."""
    return over(text, "databricks", lambda c: exp.column(c.this, table=c.args["table"]))


def snowflake(text):
    for statement in re.findall(r"CREATE OR REPLACE SEMANTIC VIEW.*?;\n", text, re.DOTALL):
        clauses = {
            word: [_uncommented(line.strip()) for line in body.splitlines() if line.strip()]
            for word, body in re.findall(r"^  (\w+) \(\n(.*?)\n  \)", statement, re.DOTALL | re.MULTILINE)
        }
        tables, keys = {}, {}
        for line in clauses["TABLES"]:
            name, source, key = re.fullmatch(r"(\S+) AS (\S+)(?: PRIMARY KEY \((.*)\))?", line).groups()
            tables[name], keys[name] = source, key
        facts, joins = next(iter(tables)), {}
        for line in clauses.get("RELATIONSHIPS", ()):
            _, left, ours, right, theirs = re.fullmatch(
                r"(\S+) AS (\S+) \((.*)\) REFERENCES (\S+) \((.*)\)", line
            ).groups()
            assert theirs == keys[right], "a reference is to a key"
            assert right not in joins, "two ways to one table"
            pairs = zip(ours.split(", "), theirs.split(", "), strict=True)
            joins[right] = (" AND ".join(f"{left}.{a} = {right}.{b}" for a, b in pairs), left)
        result = Model(facts, tables, joins)
        logical = {}
        for line in (*clauses.get("FACTS", ()), *clauses["DIMENSIONS"]):
            name, expression = line.split(" AS ", 1)
            table, member = name.replace('"', "").split(".")
            assert (table, member) not in logical, "one name twice"
            logical[table, member] = expression
        for (table, member), expression in logical.items():
            for column in parsed(expression, "snowflake").find_all(exp.Column):
                hidden = logical.get((table, column.name))
                assert column.name == member or hidden in (None, f"{table}.{column.name}"), (
                    f"{member} reads a hidden column"
                )
            result.fields[table, member] = over(expression, "snowflake", lambda c: c)
        for line in clauses["METRICS"]:
            name, expression = line.split(" AS ", 1)
            reads_the_facts(expression, "snowflake", facts)
            name = tuple(name.replace('"', "").split("."))
            assert name not in logical
            result.metrics[name[1]] = over(
                expression, "snowflake", lambda c, result=result: exp.paren(parsed(result.fields[c.table, c.name]))
            )
        yield result


def _uncommented(line):
    return re.sub(r" COMMENT = '(?:[^'\\]|\\.|'')*'$", "", line.rstrip(","))


def lookml(text):
    document = {key: block for key, block in lkml(text).items() if isinstance(key, tuple)}
    views = {name: block for (word, name), block in document.items() if word == "view"}
    for name, explore in ((name, block) for (word, name), block in document.items() if word == "explore"):
        base = views[explore.get("from", name)]
        tables, joins = {name: base["sql_table_name"]}, {}
        sees = {name: base}
        for (kind, joined), join in ((key, block) for key, block in explore.items() if isinstance(key, tuple)):
            assert (kind, join["relationship"], join["type"]) == ("join", "many_to_one", "left_outer")
            view = views[join.get("from", joined)]
            tables[joined], sees[joined] = view["sql_table_name"], view
            read = {c.table for c in parsed(join["sql_on"]).find_all(exp.Column)} - {
                joined,
                *join.get("required_joins", []),
            }
            assert read <= {name}, "a join that Looker would not bring"
            joins[joined] = (join["sql_on"], [name, *join.get("required_joins", [])][-1])
            measures = {each for kind, each in (k for k in view if isinstance(k, tuple)) if kind == "measure"}
            assert join["fields"] == [f"{joined}.for_groups*"] and not measures & set(
                view["set", "for_groups"]["fields"]
            )
        result = Model(name, tables, joins)
        for alias, view in sees.items():
            for (kind, member), block in ((key, block) for key, block in view.items() if isinstance(key, tuple)):
                if kind == "dimension":
                    result.fields[alias, member] = _fields(block["sql"], alias, sees)
                elif kind == "dimension_group":
                    assert block["convert_tz"] == "no"
                    finest = {"date": "day"}.get(block["timeframes"][0], block["timeframes"][0])
                    result.fields[alias, member] = f"DATE_TRUNC('{finest}', {_fields(block['sql'], alias, sees)})"
        for (kind, member), block in ((key, block) for key, block in base.items() if isinstance(key, tuple)):
            if kind == "measure":
                assert block["type"] == "number"
                result.metrics[member] = _fields(block["sql"], name, sees)
        yield result


def _fields(text, alias, sees):
    def one(match):
        if match[1] == "TABLE":
            return alias
        view, member = match[1].split(".")
        return f"({_fields(sees[view]['dimension', member]['sql'], view, sees)})"

    return re.sub(r"\$\{([\w.]+)\}", one, text)


def lkml(text):
    """LookML as nested dicts; a named block goes by `("view", "flights")`."""
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    place = 0

    def skip():
        nonlocal place
        place += len(re.match(r"\s*", text[place:])[0])

    def block():
        nonlocal place
        content = {}
        while True:
            skip()
            if place >= len(text) or text[place] == "}":
                place += 1
                return content
            key = re.match(r"(\w+):\s*", text[place:])
            assert key, text[place : place + 60]
            place += len(key[0])
            word = key[1]
            if word.startswith("sql"):
                end = text.index(";;", place)
                content[word] = text[place:end].strip()
                place = end + 2
            elif opened := re.match(r"(\w+) \{", text[place:]):
                place += len(opened[0])
                assert (word, opened[1]) not in content, f"{word} {opened[1]} is there twice"
                content[word, opened[1]] = block()
            else:
                value = re.match(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\S+', text[place:])
                place += len(value[0])
                content[word] = (
                    value[0].strip('"') if value[0][0] != "[" else [v for v in value[0][1:-1].split(", ") if v]
                )

    return block()
