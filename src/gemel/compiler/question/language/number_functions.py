"""The functions of asked text on numbers, and on conditions and missing values."""

from gemel.compiler.question.language.signatures import Function, everywhere, row

NUMBERS = "numbers"
CONDITIONS = "conditions"

_DOUBLE = "CAST(value AS DOUBLE)"

NUMBER: tuple[Function, ...] = (
    everywhere(
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
    everywhere(
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
        "CAST(DIV(CAST(CAST(value AS BIGINT) AS NUMERIC), CAST(NULLIF(CAST(divisor AS BIGINT), 0) AS NUMERIC)) "
        "AS BIGINT)",
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
    everywhere(
        "coalesce(values any, …) -> any",
        "The first value that is not NULL.",
        "COALESCE(values)",
        group=CONDITIONS,
        also="nvl ifnull",
        examples=("coalesce(null, 2, 3) = 2",),
    ),
    everywhere(
        "nullif(value any, other any) -> any",
        "The value; NULL where it equals the other.",
        "NULLIF(value, other)",
        group=CONDITIONS,
        examples=("nullif(1, 1) is null", "nullif(1, 2) = 1"),
    ),
    everywhere(
        "if(condition boolean, value any, other any) -> any",
        "The value where the condition is true, else the other, also where it is NULL.",
        "CASE WHEN condition THEN value ELSE other END",
        group=CONDITIONS,
        also="iif iff",
        examples=("if(1 > 2, 'a', 'b') = 'b'", "if(null, 1, 2) = 2"),
    ),
    everywhere(
        "nvl2(tested any, value any, other any) -> any",
        "The value where `tested` is not NULL, else the other.",
        "CASE WHEN NOT tested IS NULL THEN value ELSE other END",
        group=CONDITIONS,
        examples=("nvl2(null, 1, 2) = 2",),
    ),
    everywhere(
        "isnull(value any) -> boolean",
        "Whether it is NULL, as IS NULL.",
        "value IS NULL",
        group=CONDITIONS,
        examples=("isnull(null)",),
    ),
    everywhere(
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
    everywhere(
        "zeroifnull(value number) -> number",
        "0 for NULL.",
        "COALESCE(value, 0)",
        group=CONDITIONS,
        examples=("zeroifnull(null) = 0",),
    ),
    everywhere(
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
