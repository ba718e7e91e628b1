"""Filters over the grammar of asked text: most are right, some are damaged, some carry what a hostile person adds."""

from random import Random

from gemel.compiler.question.language.functions import FUNCTIONS
from hostile.attacks import MARKS, STATEMENTS, TEMPLATES, WORDS

REFERENCES = {
    "text": ["{{ Dimension('sale__region') }}", "sale__region", "{{Entity('customer')}}", "customer"],
    "time": ["{{ TimeDimension('metric_time', 'day') }}", "metric_time__month", "metric_time__day"],
    "number": ["{{ Metric('revenue', ['customer']) }}", "{{ Metric('orders', ['customer']) }}"],
}
COLUMNS = {"text": ["sale__region"], "time": ["metric_time__day"], "number": ["revenue", "orders"]}
REACHING = [
    "query_to_xml('select * from canary', true, true, '')",
    "table_to_xml('canary', true, true, '')",
    "lo_export(1, 'stolen')",
    "lo_creat(-1)",
    "set_config('TimeZone', 'Asia/Tokyo', false)",
    "pg_read_file('canary')",
    "pg_ls_dir('.')",
    "pg_terminate_backend(1)",
    "pg_sleep(9)",
    "nextval('counter')",
    "setval('counter', 9)",
    "dblink('x', 'y')",
    "xmlparse(document 'x')",
    "current_setting('TimeZone')",
    "current_user",
    "getenv('HOME')",
    "read_text('canary')",
    "query('drop table canary')",
    "repeat('x', 1000000000)",
    "lpad('x', 1000000000, 'y')",
    "generate_series(1, 1000000000)",
    "array_fill(1, array[1000000])",
    "randstr(3, 4)",
    "json_execute_serialized_sql('{}')",
]
UNITS = ["year", "month", "week", "day", "hour", "second", "fortnight", "x'y"]
TEXTS = ["'x'", "'north'", "''", "'it''s'", "'5%\\_'", "'🦆é'", "'2024-01-31'", "'{\"a\": [1]}'", "'$.a[0]'", "'%Y-%m'"]
TEXTS += ["'YYYY-MM'", "'^[a-z]+\\d{2}$'", "'(a|b)*'", "'month'", "'now'", "'\u202e'"]
NUMBERS = ["0", "1", "2", "-1", "7", "0.5", "1e3", "1e300", "9223372036854775807", "999999999999999999999", "10 / 0"]
TIMES = ["date '2024-01-31'", "timestamp '2024-02-29 23:59:59.999999'", "current_date", "now()", "date '0001-01-01'"]
TIMES += ["date '9999-12-31'", "current_timestamp - interval '3 days'", "'2024-01-01'::date"]
TYPES = [
    "int",
    "bigint",
    "double",
    "decimal(10, 2)",
    "text",
    "date",
    "timestamp",
    "boolean",
    "varchar(3)",
    "regclass",
    "json",
]
LITERALS = {
    "unit": [f"'{unit}'" for unit in UNITS[:6]],
    "count": ["0", "3", "1000", "1001", "1000000000", "sale__region"],
    "ordinal": ["1", "2", "0"],
    "digits": ["0", "2", "10", "11"],
    "fill": ["'x'", "'xy'", "''"],
    "replacement": ["'x'", "''", "'" + "y" * 40 + "'"],
    "format": ["'%Y-%m-%d'", "'%j %a'", "'%q'", "'\"'"],
    "picture": ["'YYYY-MM-DD'", "'DDDD'", "'x'"],
    "path": ["'$.a'", "'a.b[0]'", "'$'", "'$..*'", "'$[\"x\"]'"],
    "pattern": ["'^a'", "'(a+)+$'", "'a{1,9}'", "'(?i)x'", "'['", "'\\d\\w'"],
    "interval": ["interval '3 days'", "interval 1 month", "interval '1 day 2 hours'"],
    "json": ["'{\"a\": 1}'", "'[1, 2]'", "'{'", "sale__region"],
}


class Grammar:
    """Random filters. `names` are functions of the engine's catalog, which take the place of ours now and then."""

    def __init__(self, seed, names=(), references=REFERENCES):
        self.random = Random(seed)
        self.names = [*names]
        self.references = references

    def text(self):
        """A filter: as the grammar has it, or damaged."""
        text = self.condition(self.random.choice([1, 2, 2, 3, 4]))
        for _ in range(self.random.choice([0, 0, 0, 1, 1, 2])):
            text = self._damaged(text)
        return text

    def condition(self, depth):
        pick = self.random.choice
        if depth <= 0:
            return f"{self.value('text', 0)} = {pick(TEXTS)}"
        inner = depth - 1
        match self.random.randrange(12):
            case 0 | 1:
                return f"{self.condition(inner)} {pick(['and', 'or', 'AND NOT'])} {self.condition(inner)}"
            case 2:
                return f"not ({self.condition(inner)})"
            case 3:
                kind = pick(["text", "number", "time"])
                operator = pick(["=", "<>", "<", ">=", "is distinct from"])
                return f"{self.value(kind, inner)} {operator} {self.value(kind, inner)}"
            case 4:
                kind = pick(["text", "number"])
                return (
                    f"{self.value(kind, inner)} {pick(['in', 'not in'])} ({self.value(kind, 0)}, {self.value(kind, 0)})"
                )
            case 5:
                kind = pick(["number", "time"])
                low, high = self.value(kind, 0), self.value(kind, 0)
                return f"{self.value(kind, inner)} {pick(['between', 'not between'])} {low} and {high}"
            case 6:
                escape = pick(["", "", " escape '!'", " escape ''"])
                return f"{self.value('text', inner)} {pick(['like', 'ilike', 'not like'])} {pick(TEXTS)}{escape}"
            case 7:
                return f"{self.value(pick(['text', 'number', 'time']), inner)} is {pick(['null', 'not null'])}"
            case 8:
                return f"({self.condition(inner)}) is {pick(['true', 'not true', 'false', 'unknown'])}"
            case 9:
                return self.call("boolean", inner)
            case 10:
                other = pick(["true", "null", "false"])
                return f"case when {self.condition(inner)} then {self.condition(0)} else {other} end"
            case _:
                return f"{self.value('number', inner)} > {self.value('number', inner)}"

    def value(self, kind, depth):
        pick = self.random.choice
        if depth <= 0 or self.random.random() < 0.3:
            if self.random.random() < 0.5 and kind in self.references:
                return pick(self.references[kind])
            return pick({"text": TEXTS, "number": NUMBERS, "time": TIMES}.get(kind, TEXTS))
        inner = depth - 1
        if kind == "number" and self.random.random() < 0.4:
            return f"({self.value('number', inner)} {pick('+-*/%')} {self.value('number', inner)})"
        if kind == "text" and self.random.random() < 0.2:
            return f"({self.value('text', inner)} || {self.value('text', inner)})"
        if self.random.random() < 0.15:
            return f"cast({self.value(pick(['text', 'number', 'time']), inner)} as {pick(TYPES)})"
        if self.random.random() < 0.1:
            return f"case when {self.condition(inner)} then {self.value(kind, inner)} else {self.value(kind, 0)} end"
        if self.random.random() < 0.1:
            return f"{self.value(pick(['text', 'number', 'time']), 0)}::{pick(TYPES)}"
        return self.call(kind, inner)

    def call(self, kind, depth):
        results = {"number": ("number", "whole", "any"), "time": ("date", "timestamp", "any"), "text": ("text", "any")}
        rows = [row for row in FUNCTIONS if row.result in results.get(kind, (kind,))]
        row = self.random.choice(rows if self.random.random() < 0.95 else FUNCTIONS)
        parameters = [
            *row.parameters,
            *([row.parameters[-1]] if row.parameters and row.parameters[-1].repeated else []),
        ]
        given = ", ".join(self.argument(each.kind, kind, depth) for each in parameters)
        name = self.random.choice(row.names)
        if self.names and self.random.random() < 0.05:
            name = self.random.choice(self.names)
        return f"{name}({given})"

    def argument(self, wanted, kind, depth):
        if wanted in LITERALS:
            return self.random.choice(LITERALS[wanted])
        if wanted == "boolean":
            return self.condition(depth)
        same = {"any": kind if kind in ("text", "number", "time") else "text", "whole": "number", "position": "number"}
        return self.value(same.get(wanted, wanted), depth)

    def _damaged(self, text):
        pick = self.random.choice
        pieces = text.split(" ")
        place = self.random.randrange(len(pieces) + 1)
        match self.random.randrange(5):
            case 0 if len(pieces) > 1:
                del pieces[min(place, len(pieces) - 1)]
            case 1:
                pieces.insert(place, pick(WORDS))
            case 2:
                pieces.insert(place, pick([*STATEMENTS, *TEMPLATES, *REACHING]))
            case 3:
                pieces[min(place, len(pieces) - 1)] = pick(REACHING)
            case _:
                at = self.random.randrange(len(text) + 1)
                return text[:at] + pick(MARKS) + text[at:]
        return " ".join(pieces)
