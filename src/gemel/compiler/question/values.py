"""The functions of asked text on texts, numbers, JSON documents and conditions."""

from gemel.compiler.question.signatures import Function, Spelling, read_signature


def row(
    signature: str,
    meaning: str,
    duckdb: Spelling,
    postgres: Spelling | None = None,
    *,
    group: str,
    also: str = "",
    elsewhere: Spelling | None = None,
    examples: tuple[str, ...] = (),
) -> Function:
    """A row of the table. PostgreSQL has DuckDB's spelling unless it is given. `also` are more names."""
    name, parameters, result = read_signature(signature)
    return Function(
        (name, *also.split()),
        parameters,
        result,
        meaning,
        group,
        duckdb,
        duckdb if postgres is None else postgres,
        elsewhere,
        examples,
    )


def _everywhere(
    signature: str, meaning: str, spelling: str, *, group: str, also: str = "", examples: tuple[str, ...] = ()
) -> Function:
    """A function that every engine spells in the same way."""
    return row(signature, meaning, spelling, group=group, also=also, elsewhere=spelling, examples=examples)


TEXT = "text"
NUMBERS = "numbers"
CONDITIONS = "conditions"
JSON = "JSON"

TEXTS: tuple[Function, ...] = (
    _everywhere(
        "lower(value text) -> text",
        "In lower case.",
        "LOWER(value)",
        group=TEXT,
        also="lcase",
        examples=("lower('É1') = 'é1'",),
    ),
    _everywhere(
        "upper(value text) -> text",
        "In upper case. Letters that become two, such as ß, follow the warehouse.",
        "UPPER(value)",
        group=TEXT,
        also="ucase",
        examples=("upper('é1') = 'É1'",),
    ),
    _everywhere(
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
        "LEFT(value, size)",
        "LEFT(value, CAST(size AS INT))",
        group=TEXT,
        examples=("left('abc', 2) = 'ab'", "left('abc', -1) = 'ab'", "left('abc', 0) = ''"),
    ),
    row(
        "right(value text, size whole) -> text",
        "The last characters; with a negative size, all but the first.",
        "RIGHT(value, size)",
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

_DOUBLE = "CAST(value AS DOUBLE)"

NUMBER: tuple[Function, ...] = (
    _everywhere(
        "abs(value number) -> number", "Without its sign.", "ABS(value)", group=NUMBERS, examples=("abs(-2.5) = 2.5",)
    ),
    row(
        "sign(value number) -> number",
        "-1, 0 or 1.",
        "SIGN(value)",
        group=NUMBERS,
        also="signum",
        elsewhere="SIGN(value)",
        examples=("sign(-2.5) = -1", "sign(0) = 0"),
    ),
    _everywhere(
        "floor(value number) -> number",
        "The greatest whole number that is not greater.",
        "FLOOR(value)",
        group=NUMBERS,
        examples=("floor(-2.5) = -3",),
    ),
    row(
        "ceil(value number) -> number",
        "The least whole number that is not less.",
        "CEIL(value)",
        group=NUMBERS,
        also="ceiling",
        elsewhere="CEIL(value)",
        examples=("ceil(-2.5) = -2",),
    ),
    row(
        "trunc(value number) -> number",
        "Without its fraction.",
        "TRUNC(value)",
        group=NUMBERS,
        also="truncate",
        examples=("trunc(-2.5) = -2",),
    ),
    row(
        "round(value number) -> number",
        "To a whole number, halves away from zero. Computed with ten decimals.",
        "ROUND(CAST(CAST(value AS TEXT) AS DECIMAL(38, 10)), 0)",
        group=NUMBERS,
        examples=("round(2.5) = 3", "round(-2.5) = -3"),
    ),
    row(
        "round(value number, places digits) -> number",
        "To so many decimals, halves away from zero. Computed with ten decimals.",
        "ROUND(CAST(CAST(value AS TEXT) AS DECIMAL(38, 10)), places)",
        group=NUMBERS,
        examples=("round(2.675, 2) = 2.68", "round(-0.05, 1) = -0.1"),
    ),
    row(
        "mod(value number, divisor number) -> number",
        "The remainder, with the sign of `value`; NULL where the divisor is 0. The same as %.",
        "value % NULLIF(divisor, 0)",
        group=NUMBERS,
        also="modulo",
        examples=("mod(-7, 3) = -1", "mod(1, 0) is null"),
    ),
    row(
        "div(value whole, divisor whole) -> whole",
        "Division without the fraction, towards zero; NULL where the divisor is 0.",
        "DIVIDE(CAST(value AS BIGINT), NULLIF(CAST(divisor AS BIGINT), 0))",
        "CAST(DIV(CAST(value AS NUMERIC), NULLIF(CAST(divisor AS NUMERIC), 0)) AS BIGINT)",
        group=NUMBERS,
        examples=("div(-7, 2) = -3", "div(1, 0) is null"),
    ),
    row(
        "div0(value number, divisor number) -> number",
        "Division; 0 where the divisor is 0.",
        "CASE WHEN divisor = 0 AND NOT value IS NULL THEN 0 ELSE value / NULLIF(divisor, 0) END",
        group=NUMBERS,
        examples=("div0(1, 2) = 0.5", "div0(1, 0) = 0"),
    ),
    row(
        "safe_divide(value number, divisor number) -> number",
        "Division; NULL where the divisor is 0, as with /.",
        "value / NULLIF(divisor, 0)",
        group=NUMBERS,
        also="divide",
        examples=("safe_divide(1, 0) is null",),
    ),
    row(
        "sqrt(value number) -> number",
        "The square root; NULL for a negative number.",
        f"SQRT(CASE WHEN value >= 0 THEN {_DOUBLE} END)",
        group=NUMBERS,
        examples=("sqrt(9) = 3", "sqrt(-1) is null"),
    ),
    row(
        "cbrt(value number) -> number",
        "The cube root.",
        f"CBRT({_DOUBLE})",
        group=NUMBERS,
        examples=("round(cbrt(-8), 5) = -2",),
    ),
    row(
        "power(value number, exponent number) -> number",
        "A power; NULL where it is not a real number. An overflow is the warehouse's.",
        "CASE WHEN (value < 0 AND exponent <> FLOOR(exponent)) OR (value = 0 AND exponent < 0) THEN NULL "
        f"ELSE POWER({_DOUBLE}, CAST(exponent AS DOUBLE)) END",
        group=NUMBERS,
        also="pow",
        examples=("power(2, 10) = 1024", "power(-1, 0.5) is null", "power(0, -1) is null"),
    ),
    row(
        "exp(value number) -> number",
        "e to this power; 0 below -700, NULL above 700.",
        f"CASE WHEN value BETWEEN -700 AND 700 THEN EXP({_DOUBLE}) WHEN value < -700 THEN 0 END",
        group=NUMBERS,
        examples=("exp(0) = 1", "exp(-1000) = 0", "exp(1000) is null"),
    ),
    row(
        "ln(value number) -> number",
        "The natural logarithm; NULL for 0 and below.",
        f"LN(CASE WHEN value > 0 THEN {_DOUBLE} END)",
        group=NUMBERS,
        examples=("ln(1) = 0", "ln(0) is null"),
    ),
    row(
        "log10(value number) -> number",
        "The logarithm to base 10; NULL for 0 and below.",
        f"LOG10(CASE WHEN value > 0 THEN {_DOUBLE} END)",
        group=NUMBERS,
        examples=("log10(1000) = 3",),
    ),
    row(
        "log2(value number) -> number",
        "The logarithm to base 2; NULL for 0 and below.",
        f"LN(CASE WHEN value > 0 THEN {_DOUBLE} END) / LN(CAST(2 AS DOUBLE))",
        group=NUMBERS,
        examples=("log2(8) = 3",),
    ),
    row("pi() -> number", "3.14159…", "PI()", group=NUMBERS, examples=("round(pi(), 5) = 3.14159",)),
    *(
        row(f"{name}(value number) -> number", meaning, f"{name.upper()}({_DOUBLE})", group=NUMBERS, examples=(check,))
        for name, meaning, check in (
            ("degrees", "Radians as degrees.", "round(degrees(pi()), 5) = 180"),
            ("radians", "Degrees as radians.", "radians(0) = 0"),
            ("sin", "The sine of radians.", "sin(0) = 0"),
            ("cos", "The cosine of radians.", "cos(0) = 1"),
            ("tan", "The tangent of radians.", "tan(0) = 0"),
            ("atan", "The arc tangent, in radians.", "atan(0) = 0"),
        )
    ),
    *(
        row(
            f"{name}(value number) -> number",
            f"The arc {what}, in radians; NULL outside of -1 to 1.",
            f"{name.upper()}(CASE WHEN value BETWEEN -1 AND 1 THEN {_DOUBLE} END)",
            group=NUMBERS,
            examples=(f"{name}(2) is null",),
        )
        for name, what in (("asin", "sine"), ("acos", "cosine"))
    ),
    row(
        "atan2(y number, x number) -> number",
        "The angle of a point, in radians.",
        "ATAN2(CAST(y AS DOUBLE), CAST(x AS DOUBLE))",
        group=NUMBERS,
        examples=("atan2(0, 1) = 0",),
    ),
)

CONDITIONAL: tuple[Function, ...] = (
    _everywhere(
        "coalesce(values any, …) -> any",
        "The first value that is not NULL.",
        "COALESCE(values)",
        group=CONDITIONS,
        also="nvl ifnull",
        examples=("coalesce(null, 2, 3) = 2",),
    ),
    _everywhere(
        "nullif(value any, other any) -> any",
        "The value; NULL where it equals the other.",
        "NULLIF(value, other)",
        group=CONDITIONS,
        examples=("nullif(1, 1) is null", "nullif(1, 2) = 1"),
    ),
    _everywhere(
        "if(condition boolean, value any, other any) -> any",
        "The value where the condition is true, else the other, also where it is NULL.",
        "CASE WHEN condition THEN value ELSE other END",
        group=CONDITIONS,
        also="iif iff",
        examples=("if(1 > 2, 'a', 'b') = 'b'", "if(null, 1, 2) = 2"),
    ),
    _everywhere(
        "nvl2(tested any, value any, other any) -> any",
        "The value where `tested` is not NULL, else the other.",
        "CASE WHEN NOT tested IS NULL THEN value ELSE other END",
        group=CONDITIONS,
        examples=("nvl2(null, 1, 2) = 2",),
    ),
    _everywhere(
        "isnull(value any) -> boolean",
        "Whether it is NULL, as IS NULL.",
        "value IS NULL",
        group=CONDITIONS,
        examples=("isnull(null)",),
    ),
    _everywhere(
        "isnotnull(value any) -> boolean",
        "Whether it is not NULL, as IS NOT NULL.",
        "NOT value IS NULL",
        group=CONDITIONS,
        examples=("isnotnull(1)",),
    ),
    row(
        "equal_null(value any, other any) -> boolean",
        "Whether both are equal or both NULL, as IS NOT DISTINCT FROM.",
        "value IS NOT DISTINCT FROM other",
        group=CONDITIONS,
        examples=("equal_null(null, null)", "not equal_null(1, null)"),
    ),
    _everywhere(
        "zeroifnull(value number) -> number",
        "0 for NULL.",
        "COALESCE(value, 0)",
        group=CONDITIONS,
        examples=("zeroifnull(null) = 0",),
    ),
    _everywhere(
        "nullifzero(value number) -> number",
        "NULL for 0.",
        "NULLIF(value, 0)",
        group=CONDITIONS,
        examples=("nullifzero(0) is null",),
    ),
    row(
        "greatest(values any, …) -> any",
        "The greatest of the values that are not NULL. Texts are compared as the warehouse compares them.",
        "GREATEST(values)",
        group=CONDITIONS,
        examples=("greatest(1, null, 2) = 2",),
    ),
    row(
        "least(values any, …) -> any",
        "The least of the values that are not NULL. Texts are compared as the warehouse compares them.",
        "LEAST(values)",
        group=CONDITIONS,
        examples=("least(3, null, 2) = 2",),
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

VALUES: tuple[Function, ...] = (*TEXTS, *NUMBER, *CONDITIONAL, *JSONS)
"""The functions on everything but times."""
