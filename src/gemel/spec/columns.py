"""A definition without SQL of its own: it is the column that has its name."""


class ColumnName(str):
    """The name of a column, where a definition could have SQL: `current_user` is the column, and not the function."""

    __slots__ = ()


def text_or_column(text: str | None, name: str) -> str:
    """The SQL of a definition. Without SQL, or with its own name, which some dbt versions fill in, it is a column."""
    return ColumnName(name) if text is None or text.strip().lower() == name else text
