"""The functions of asked text on dates and times. A time with a zone is on the clocks of the session, whose zone is the
project's."""

from gemel.compiler.question.language.signatures import UNITS, Function, row

TIMES = "dates and times"


def _days(value: str, unit: str) -> str:
    """The day of a time, or of the start of its week."""
    return f"CAST(DATE_TRUNC('{unit}', {value}) AS DATE)"


def _months(per: int) -> str:
    """The months, quarters or years between two times, by the calendar."""
    first, last = (
        f"(CAST(DATE_PART('year', {time}) AS BIGINT) * {12 // per} + CAST(DATE_PART('{part}', {time}) AS BIGINT))"
        if per < 12
        else f"CAST(DATE_PART('year', {time}) AS BIGINT)"
        for time in ("since", "until")
        for part in ({1: "month", 3: "quarter"}.get(per, "year"),)
    )
    return f"{last} - {first}"


def _seconds(unit: str, count: int) -> str:
    """The hours, minutes or seconds whose starts lie between two times."""
    first, last = (f"CAST(DATE_PART('epoch', DATE_TRUNC('{unit}', {time})) AS BIGINT)" for time in ("since", "until"))
    return f"CAST(({last} - {first}) / {count} AS BIGINT)"


_BETWEEN = {
    "year": _months(12),
    "quarter": _months(3),
    "month": _months(1),
    "week": f"CAST(({_days('until', 'week')} - {_days('since', 'week')}) / 7 AS BIGINT)",
    "day": f"CAST({_days('until', 'day')} - {_days('since', 'day')} AS BIGINT)",
    "hour": _seconds("hour", 3600),
    "minute": _seconds("minute", 60),
    "second": _seconds("second", 1),
}
_STEPS = {unit: "3 month" if unit == "quarter" else f"1 {unit}" for unit in UNITS}
_LATER = {unit: f"value + CAST(amount AS BIGINT) * CAST('{step}' AS INTERVAL)" for unit, step in _STEPS.items()}
_PARTS = {name: f"CAST(FLOOR(DATE_PART('{name}', value)) AS BIGINT)" for name in (*UNITS, "isoyear", "isodow", "dow")}
_PARTS |= {"doy": "CAST(DATE_PART('doy', value) AS BIGINT)", "epoch": "CAST(DATE_PART('epoch', value) AS DOUBLE)"}
_EXTRACTED = {name: f"EXTRACT({name.upper()} FROM value)" for name in ("year", "quarter", "month", "day")}

_MICROSECONDS = "CAST(ROUND(CAST(seconds AS DECIMAL(20, 6)) * 1000000, 0) AS BIGINT)"
_NOW = "CAST(NOW() AS {})"

TIME: tuple[Function, ...] = (
    row(
        "current_date() -> date",
        "Today in the project's time zone. Also without parentheses.",
        _NOW.format("DATE"),
        group=TIMES,
        also="today curdate",
        examples=("current_date > date '2024-01-01'", "today() = current_date"),
    ),
    row(
        "current_timestamp() -> timestamp",
        "Now on the clocks of the project's time zone, without a zone. Also without parentheses.",
        _NOW.format("TIMESTAMP"),
        group=TIMES,
        also="now getdate localtimestamp current_datetime sysdate",
        examples=("current_timestamp >= current_date", "now() = current_timestamp"),
    ),
    row(
        "date_trunc(unit unit, value time) -> timestamp",
        "The start of the year, quarter, month, week (Monday), day, hour, minute or second.",
        "DATE_TRUNC(unit, value)",
        group=TIMES,
        elsewhere={unit: f"DATE_TRUNC('{unit}', value)" for unit in UNITS},
        examples=("date_trunc('week', timestamp '2024-01-07 12:00') = timestamp '2024-01-01'",),
    ),
    row(
        "date_part(part unit, value time) -> number",
        "A part of the time: year, quarter, month, week (ISO), day, hour, minute, second (whole), isoyear, isodow "
        "(Monday is 1), dow (Sunday is 0), doy, epoch (seconds since 1970 with their fraction). "
        "Also written as `extract(year FROM value)`.",
        _PARTS,
        group=TIMES,
        also="datepart extract",
        elsewhere=_EXTRACTED,
        examples=(
            "extract(isodow from date '2024-01-07') = 7",
            "extract(dow from date '2024-01-07') = 0",
            "date_part('second', timestamp '2024-01-01 00:00:59.9') = 59",
        ),
    ),
    *(
        row(
            f"{name}(value time) -> whole",
            meaning,
            _PARTS[part],
            group=TIMES,
            also=also,
            elsewhere=_EXTRACTED.get(part),
            examples=(check,),
        )
        for name, part, meaning, also, check in (
            ("year", "year", "The year.", "", "year(date '2024-05-06') = 2024"),
            ("quarter", "quarter", "The quarter, 1 to 4.", "", "quarter(date '2024-05-06') = 2"),
            ("month", "month", "The month, 1 to 12.", "", "month(date '2024-05-06') = 5"),
            (
                "week",
                "week",
                "The week of the ISO year, 1 to 53.",
                "weekofyear weekiso isoweek",
                "week(date '2021-01-01') = 53",
            ),
            (
                "isoyear",
                "isoyear",
                "The year that the ISO week belongs to.",
                "yearofweekiso",
                "isoyear(date '2021-01-01') = 2020",
            ),
            ("day", "day", "The day of the month.", "dayofmonth", "day(date '2024-05-06') = 6"),
            ("dayofyear", "doy", "The day of the year, 1 to 366.", "doy", "dayofyear(date '2024-12-31') = 366"),
            (
                "isodow",
                "isodow",
                "The day of the week: Monday is 1, Sunday 7.",
                "dayofweekiso dayofweek_iso",
                "isodow(date '2024-01-07') = 7",
            ),
            ("hour", "hour", "The hour, 0 to 23.", "", "hour(timestamp '2024-01-01 23:59') = 23"),
            ("minute", "minute", "The minute, 0 to 59.", "", "minute(timestamp '2024-01-01 23:59') = 59"),
            (
                "second",
                "second",
                "The second, 0 to 59, without its fraction.",
                "",
                "second(timestamp '2024-01-01 00:00:59.9') = 59",
            ),
        )
    ),
    row(
        "epoch(value time) -> number",
        "The seconds since 1970 on the same clocks, with their fraction.",
        _PARTS["epoch"],
        group=TIMES,
        also="unix_timestamp unix_seconds",
        examples=("epoch(timestamp '1970-01-02 00:00:00.5') = 86400.5",),
    ),
    row(
        "from_unixtime(seconds number) -> timestamp",
        "The time so many seconds after 1970, without a zone, to the microsecond.",
        f"MAKE_TIMESTAMP({_MICROSECONDS})",
        f"CAST('1970-01-01' AS TIMESTAMP) + {_MICROSECONDS} * CAST('1 microsecond' AS INTERVAL)",
        group=TIMES,
        also="to_timestamp timestamp_seconds",
        examples=("from_unixtime(86400.5) = timestamp '1970-01-02 00:00:00.5'",),
    ),
    row(
        "dayname(value time) -> text",
        "The English name of the day: Monday.",
        "DAYNAME(value)",
        "TO_CHAR(value, 'FMDay')",
        group=TIMES,
        examples=("dayname(date '2024-01-07') = 'Sunday'",),
    ),
    row(
        "monthname(value time) -> text",
        "The English name of the month: January.",
        "MONTHNAME(value)",
        "TO_CHAR(value, 'FMMonth')",
        group=TIMES,
        examples=("monthname(date '2024-05-07') = 'May'",),
    ),
    row(
        "last_day(value time) -> date",
        "The last day of the month.",
        "CAST(DATE_TRUNC('month', value) + CAST('1 month' AS INTERVAL) - CAST('1 day' AS INTERVAL) AS DATE)",
        group=TIMES,
        also="eomonth",
        examples=("last_day(date '2024-02-01') = date '2024-02-29'",),
    ),
    row(
        "date(value time) -> date",
        "The day of a time.",
        "CAST(value AS DATE)",
        group=TIMES,
        also="to_date",
        elsewhere="CAST(value AS DATE)",
        examples=("date(timestamp '2024-01-01 23:59') = date '2024-01-01'",),
    ),
    row(
        "dateadd(unit unit, amount whole, value time) -> timestamp",
        "So many years, months, days … later. A day that the month does not have becomes its last one.",
        _LATER,
        group=TIMES,
        also="date_add timestampadd",
        examples=("dateadd('month', 1, date '2024-01-31') = timestamp '2024-02-29'",),
    ),
    row(
        "date_add(value time, span interval) -> timestamp",
        "Later by an interval, as +.",
        "value + span",
        group=TIMES,
        examples=("date_add(date '2024-01-31', interval 1 month) = timestamp '2024-02-29'",),
    ),
    row(
        "date_sub(value time, span interval) -> timestamp",
        "Earlier by an interval, as -.",
        "value - span",
        group=TIMES,
        examples=("date_sub(date '2024-03-31', interval 1 month) = timestamp '2024-02-29'",),
    ),
    row(
        "add_months(value time, amount whole) -> timestamp",
        "So many months later. A day that the month does not have becomes its last one.",
        _LATER["month"],
        group=TIMES,
        examples=("add_months(date '2024-01-31', 1) = timestamp '2024-02-29'",),
    ),
    row(
        "datediff(unit unit, since time, until time) -> whole",
        "How many starts of a year, quarter, month, week (Monday), day, hour, minute or second lie after `since`, "
        "up to `until`: from 23:59 to 00:01 is 1 day. Negative if `until` is earlier.",
        _BETWEEN,
        group=TIMES,
        also="date_diff timestampdiff",
        examples=(
            "datediff('day', timestamp '2024-01-01 23:59', timestamp '2024-01-02 00:01') = 1",
            "datediff('week', date '2024-01-07', date '2024-01-08') = 1",
            "datediff('month', date '2024-03-01', date '2024-01-31') = -2",
        ),
    ),
    row(
        "make_date(year whole, month whole, day whole) -> date",
        "A date of its parts. A day that does not exist is the warehouse's error.",
        "MAKE_DATE(CAST(year AS INT), CAST(month AS INT), CAST(day AS INT))",
        group=TIMES,
        also="date_from_parts datefromparts",
        examples=("make_date(2024, 2, 29) = date '2024-02-29'",),
    ),
    row(
        "strftime(value time, format format) -> text",
        "The time as a text. %Y is the year, %m %d %H %M %S the two digits of month, day, hour, minute and second, "
        "%j the day of the year in three, %y the year in two, %B %b the month's English name and its first three "
        "letters, %A %a the day's.",
        "STRFTIME(value, format)",
        "TO_CHAR(value, format)",
        group=TIMES,
        examples=(
            "strftime(date '2024-01-07', '%Y-%m') = '2024-01'",
            "strftime(date '2024-01-07', '%a %d%d') = 'Sun 0707'",
        ),
    ),
    row(
        "to_char(value time, format picture) -> text",
        "The time as a text: YYYY, MM, DD, HH24, MI, SS, DDD (day of the year), YY, Mon (Jan), Dy (Mon).",
        "STRFTIME(value, format)",
        "TO_CHAR(value, format)",
        group=TIMES,
        examples=("to_char(date '2024-01-07', 'YYYY-MM') = '2024-01'",),
    ),
)
