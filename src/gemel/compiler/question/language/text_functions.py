"""The functions of asked text on texts and JSON documents."""

from gemel.compiler.question.language.signatures import Function, everywhere, row

TEXT = "text"
JSON = "JSON"

TEXTS: tuple[Function, ...] = (
    everywhere(
        "lower(value text) -> text",
        "In lower case.",
        "LOWER(value)",
        group=TEXT,
        also="lcase",
        examples=("lower('É1') = 'é1'",),
    ),
    everywhere(
        "upper(value text) -> text",
        "In upper case. Letters that become two, such as ß, follow the warehouse.",
        "UPPER(value)",
        group=TEXT,
        also="ucase",
        examples=("upper('é1') = 'É1'",),
    ),
    everywhere(
        "length(value text) -> whole",
        "The number of characters.",
        "LENGTH(value)",
        group=TEXT,
        also="len char_length character_length",
        examples=("length('') = 0", "length('🦆é') = 2"),
    ),
    row(
        "octet_length(value text) -> whole",
        "The number of bytes in UTF-8.",
        "STRLEN(value)",
        "OCTET_LENGTH(value)",
        group=TEXT,
        also="byte_length",
        examples=("octet_length('é') = 2",),
    ),
    row(
        "trim(value text) -> text",
        "Without the blanks at both ends. Only the blank counts, not tabs or line breaks.",
        "TRIM(value, ' ')",
        "BTRIM(value, ' ')",
        group=TEXT,
        also="btrim",
        elsewhere="TRIM(value, ' ')",
        examples=("trim('  a b ') = 'a b'",),
    ),
    row(
        "trim(value text, characters text) -> text",
        "Without any of these characters at both ends.",
        "TRIM(value, characters)",
        "BTRIM(value, characters)",
        group=TEXT,
        also="btrim",
        examples=("trim('xyaxb', 'yx') = 'axb'", "trim('a', '') = 'a'"),
    ),
    row(
        "ltrim(value text) -> text",
        "Without the blanks at the start.",
        "LTRIM(value, ' ')",
        group=TEXT,
        examples=("ltrim(' a ') = 'a '",),
    ),
    row(
        "ltrim(value text, characters text) -> text",
        "Without any of these characters at the start.",
        "LTRIM(value, characters)",
        group=TEXT,
        examples=("ltrim('xxax', 'x') = 'ax'",),
    ),
    row(
        "rtrim(value text) -> text",
        "Without the blanks at the end.",
        "RTRIM(value, ' ')",
        group=TEXT,
        examples=("rtrim(' a ') = ' a'",),
    ),
    row(
        "rtrim(value text, characters text) -> text",
        "Without any of these characters at the end.",
        "RTRIM(value, characters)",
        group=TEXT,
        examples=("rtrim('xaxx', 'x') = 'xa'",),
    ),
    row(
        "substring(value text, first position) -> text",
        "From the character at this position on. A computed position before 1 counts as 1.",
        "SUBSTRING(value, GREATEST(CAST(first AS BIGINT), 1))",
        "SUBSTRING(value, CAST(GREATEST(first, 1) AS INT))",
        group=TEXT,
        also="substr mid",
        examples=("substring('abc', 2) = 'bc'", "substring('abc', 9) = ''"),
    ),
    row(
        "substring(value text, first position, size whole) -> text",
        "So many characters from this position on. A computed position before 1 counts as 1, a negative size as 0.",
        "SUBSTRING(value, GREATEST(CAST(first AS BIGINT), 1), GREATEST(CAST(size AS BIGINT), 0))",
        "SUBSTRING(value, CAST(GREATEST(first, 1) AS INT), CAST(GREATEST(size, 0) AS INT))",
        group=TEXT,
        also="substr mid",
        examples=("substring('abc', 2, 1) = 'b'", "substring('abc', 2, -1) = ''", "substring('abc', 1 - 2, 2) = 'ab'"),
    ),
    row(
        "left(value text, size whole) -> text",
        "The first characters; with a negative size, all but the last.",
        "LEFT(value, CAST(size AS BIGINT))",
        "LEFT(value, CAST(size AS INT))",
        group=TEXT,
        examples=("left('abc', 2) = 'ab'", "left('abc', -1) = 'ab'", "left('abc', 0) = ''"),
    ),
    row(
        "right(value text, size whole) -> text",
        "The last characters; with a negative size, all but the first.",
        "RIGHT(value, CAST(size AS BIGINT))",
        "RIGHT(value, CAST(size AS INT))",
        group=TEXT,
        examples=("right('abc', 2) = 'bc'", "right('abc', -1) = 'bc'"),
    ),
    row(
        "replace(value text, old text, new replacement) -> text",
        "Each `old` replaced by `new`; nothing where `old` is empty.",
        "REPLACE(value, old, new)",
        group=TEXT,
        examples=("replace('aba', 'a', 'xy') = 'xybxy'", "replace('a', '', 'x') = 'a'"),
    ),
    row(
        "translate(value text, old text, new text) -> text",
        "Each character of `old` replaced by the one at its place in `new`, and removed if there is none.",
        "TRANSLATE(value, old, new)",
        group=TEXT,
        examples=("translate('abcb', 'bc', 'x') = 'axx'",),
    ),
    row(
        "strpos(value text, part text) -> whole",
        "The position of the first `part`, counted from 1; 0 without one, and 1 where `part` is empty.",
        "STRPOS(value, part)",
        group=TEXT,
        also="instr",
        examples=("strpos('abcb', 'b') = 2", "strpos('abc', 'x') = 0", "strpos('abc', '') = 1"),
    ),
    row(
        "position(part text, value text) -> whole",
        "The same with the part first, also written as `position(part IN value)`.",
        "STRPOS(value, part)",
        group=TEXT,
        also="charindex locate",
        examples=("position('b' in 'abcb') = 2", "locate('b', 'abc') = 2"),
    ),
    row(
        "contains(value text, part text) -> boolean",
        "Whether the text contains `part`; every text contains the empty one.",
        "CONTAINS(value, part)",
        "STRPOS(value, part) > 0",
        group=TEXT,
        examples=("contains('abc', 'b')", "contains('', '')"),
    ),
    row(
        "starts_with(value text, part text) -> boolean",
        "Whether the text starts with `part`.",
        "STARTS_WITH(value, part)",
        group=TEXT,
        also="startswith prefix",
        examples=("starts_with('abc', 'ab')", "not starts_with('abc', 'b')"),
    ),
    row(
        "ends_with(value text, part text) -> boolean",
        "Whether the text ends with `part`.",
        "ENDS_WITH(value, part)",
        "RIGHT(value, LENGTH(part)) = part",
        group=TEXT,
        also="endswith suffix",
        examples=("ends_with('abc', 'bc')", "ends_with('abc', '')", "not ends_with('c', 'abc')"),
    ),
    row(
        "split_part(value text, separator fill, number ordinal) -> text",
        "The part of this number between separators, counted from 1; empty where there are fewer.",
        "SPLIT_PART(value, separator, number)",
        group=TEXT,
        examples=("split_part('a,b', ',', 2) = 'b'", "split_part('a,b', ',', 3) = ''"),
    ),
    row(
        "lpad(value text, size count, filling fill) -> text",
        "Filled at the start to this size; a longer text is cut off at its end.",
        "LPAD(value, size, filling)",
        group=TEXT,
        examples=("lpad('7', 3, '0') = '007'", "lpad('abc', 2, '0') = 'ab'"),
    ),
    row(
        "rpad(value text, size count, filling fill) -> text",
        "Filled at the end to this size; a longer text is cut off at its end.",
        "RPAD(value, size, filling)",
        group=TEXT,
        examples=("rpad('7', 3, 'xy') = '7xy'",),
    ),
    row(
        "concat(values text, …) -> text",
        "The texts one after the other. A NULL counts as empty; with || the result is NULL.",
        "CONCAT(values)",
        group=TEXT,
        examples=("concat('a', null, 'b') = 'ab'",),
    ),
    row(
        "concat_ws(separator fill, values text, …) -> text",
        "The texts that are not NULL, with the separator between them.",
        "CONCAT_WS(separator, values)",
        group=TEXT,
        examples=("concat_ws('-', 'a', null, 'b') = 'a-b'", "concat_ws('-', null) = ''"),
    ),
    row(
        "ascii(value text) -> whole",
        "The code point of the first character; 0 for an empty text.",
        "ASCII(value)",
        group=TEXT,
        also="ord unicode",
        examples=("ascii('é') = 233", "ascii('') = 0"),
    ),
    row(
        "md5(value text) -> text",
        "The MD5 hash of the text in UTF-8, as 32 hexadecimal digits.",
        "MD5(value)",
        group=TEXT,
        examples=("md5('') = 'd41d8cd98f00b204e9800998ecf8427e'",),
    ),
    row(
        "sha256(value text) -> text",
        "The SHA-256 hash of the text in UTF-8, as 64 hexadecimal digits.",
        "SHA256(value)",
        "ENCODE(SHA256(CONVERT_TO(value, 'UTF8')), 'hex')",
        group=TEXT,
        examples=("left(sha256(''), 8) = 'e3b0c442'",),
    ),
    row(
        "regexp_like(value text, expression pattern) -> boolean",
        "Whether the regular expression matches a part of the text. \\d, \\w and \\s are those of ASCII.",
        "REGEXP_MATCHES(value, expression, 's')",
        "TEXTREGEXEQ(value, expression)",
        group=TEXT,
        also="regexp_matches regexp_contains rlike",
        examples=("regexp_like('AB-12', '^[A-Z]+-\\d{2}$')", "not regexp_like('', 'a')"),
    ),
)


def _found(duckdb: str, postgres: str) -> tuple[str, str]:
    """A value found by a path, on each engine; NULL for an object or a list."""
    return (
        f"CASE WHEN NOT JSON_TYPE(CAST(document AS JSON), path) IN ('OBJECT', 'ARRAY') THEN {duckdb} END",
        f"CASE WHEN NOT JSONB_TYPEOF({_AT}) IN ('object', 'array') THEN {postgres} END",
    )


_AT = "JSONB_PATH_QUERY_FIRST(CAST(document AS JSONB), path, '{}', TRUE)"
_DUCK = "JSON_EXTRACT_STRING(CAST(document AS JSON), path)"
_PG = f"JSONB_EXTRACT_PATH_TEXT(JSONB_BUILD_ARRAY({_AT}), '0')"

JSONS: tuple[Function, ...] = (
    row(
        "json_value(document json, path path) -> text",
        "The text, number or boolean at the path, as a text; NULL without one, and for an object or a list. "
        "How a fraction is written follows the warehouse.",
        *_found(_DUCK, _PG),
        group=JSON,
        also="json_extract_string json_extract_scalar json_extract_path_text get_json_object",
        examples=(
            """json_value('{"a": {"b": [1, "x"]}}', '$.a.b[1]') = 'x'""",
            """json_value('{"a": 1}', '$.b') is null""",
            """json_value('{"a": {}}', '$.a') is null""",
        ),
    ),
    row(
        "json_number(document json, path path) -> number",
        "The number at the path; NULL for anything else, also for a text with digits.",
        f"CASE WHEN JSON_TYPE(CAST(document AS JSON), path) IN ('BIGINT', 'UBIGINT', 'DOUBLE') "
        f"THEN CAST({_DUCK} AS DOUBLE) END",
        f"CASE WHEN JSONB_TYPEOF({_AT}) = 'number' THEN CAST({_PG} AS DOUBLE) END",
        group=JSON,
        examples=("""json_number('{"a": 1.50}', '$.a') = 1.5""", """json_number('{"a": "1"}', '$.a') is null"""),
    ),
    row(
        "json_exists(document json, path path) -> boolean",
        "Whether there is anything at the path, be it null.",
        "JSON_EXISTS(CAST(document AS JSON), path)",
        f"CASE WHEN NOT document IS NULL THEN NOT {_AT} IS NULL END",
        group=JSON,
        examples=("""json_exists('{"a": null}', '$.a')""", """not json_exists('{}', '$.a')"""),
    ),
    row(
        "json_array_length(document json) -> whole",
        "The number of elements of a list.",
        "CASE WHEN JSON_TYPE(CAST(document AS JSON)) = 'ARRAY' THEN JSON_ARRAY_LENGTH(CAST(document AS JSON)) END",
        "CASE WHEN JSONB_TYPEOF(CAST(document AS JSONB)) = 'array' "
        "THEN JSONB_ARRAY_LENGTH(CAST(document AS JSONB)) END",
        group=JSON,
        examples=("json_array_length('[1, 2]') = 2", "json_array_length('{}') is null"),
    ),
    row(
        "json_array_length(document json, path path) -> whole",
        "The number of elements of the list at the path; NULL where there is no list.",
        "CASE WHEN JSON_TYPE(CAST(document AS JSON), path) = 'ARRAY' "
        "THEN JSON_ARRAY_LENGTH(CAST(document AS JSON), path) END",
        f"CASE WHEN JSONB_TYPEOF({_AT}) = 'array' THEN JSONB_ARRAY_LENGTH({_AT}) END",
        group=JSON,
        examples=("""json_array_length('{"a": [1]}', '$.a') = 1""",),
    ),
)
