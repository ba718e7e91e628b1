"""Drawn rows as SQL that any DuckDB can run."""

import datetime as dt


def script(columns: dict[str, str], tables: dict[str, list[tuple]]) -> str:
    """The SQL that makes the tables; `columns` are `{"orders": "order_id int, amount int"}`."""
    statements = []
    for name, rows in tables.items():
        statements.append(f"create table {name} ({columns[name]})")
        if rows:
            values = ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
            statements.append(f"insert into {name} values {values}")
    return ";\n".join(statements)


def literal(value: object) -> str:
    match value:
        case None:
            return "null"
        case dt.datetime():
            return f"timestamp '{value}'"
        case dt.date():
            return f"date '{value}'"
        case str():
            return f"'{value}'"
        case _:
            return repr(value)
