"""How dbt builds the table of a view with a lookback bit by bit: which rows a build deletes, and which it makes.

Beside the table is its fingerprint, which is no dbt model: a hook compares it with the facts and replaces it in the
transaction that replaces the rows. It is taken before the rows are made. A fact that comes in between is then in the
rows and not in the fingerprint, and its step is made again by the next build; the reverse would lose it.
"""

from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.features.reach import Within, find_latest, find_reach
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.expressions import interval
from gemel.compiler.sql.dialects import say
from gemel.engines.engine import Capability, Engine
from gemel.features.bound import BoundView
from gemel.features.shapes import FINGERPRINT, moment_sql
from gemel.features.times import UNTIL, timestamp
from gemel.spec.time import Window

DEFINITION = "definition"
"""The column of an incremental table with the hash of the definition that a row was built from."""

_TABLE = f'this.incorporate(path={{"identifier": this.identifier ~ "{FINGERPRINT}"}})'
_FROM, _TO = '{{ var("gemel_from", none) }}', '{{ var("gemel_to", "9999-12-31") }}'

_RANGE = """build_range AS (
  SELECT
    {%- if var("gemel_from", none) %}
    CAST('<FROM>' AS TIMESTAMP) AS first_moment,
    CAST('<TO>' AS TIMESTAMP) AS end_moment
    {%- else %}
    {% if is_incremental() -%}
    COALESCE((SELECT MAX(<MOMENT>) FROM {{ this }}) + <MICROSECOND>, TIMESTAMP '0001-01-01')
    {%- else -%}
    TIMESTAMP '0001-01-01'
    {%- endif %} AS first_moment,
    TIMESTAMP '9999-12-31' AS end_moment
    {%- endif %}
)"""
"""The moments of the rows that a build makes: of the dbt variables, or all after the newest row."""

_RANGES = """{% if is_incremental() and not var("gemel_from", none) -%}
newest AS (
  SELECT
    COALESCE(MAX(<MOMENT>) + <MICROSECOND>, TIMESTAMP '0001-01-01') AS next_moment
  FROM {{ this }}
), build_range AS (
  SELECT
    COALESCE(MIN(changed.event_timestamp), newest.next_moment) AS first_moment,
    MAX(changed.event_timestamp) + <REACH> + <MICROSECOND> AS end_moment,
    newest.next_moment
  FROM newest
  LEFT JOIN <TABLE> AS changed
    ON changed.is_changed AND changed.event_timestamp < newest.next_moment
  GROUP BY
    newest.next_moment
)
{%- else -%}
build_range AS (
  SELECT
    {%- if var("gemel_from", none) %}
    CAST('<FROM>' AS TIMESTAMP) AS first_moment,
    CAST('<TO>' AS TIMESTAMP) AS end_moment,
    {%- else %}
    TIMESTAMP '0001-01-01' AS first_moment,
    TIMESTAMP '9999-12-31' AS end_moment,
    {%- endif %}
    TIMESTAMP '9999-12-31' AS next_moment
)
{%- endif %}"""
"""The same with the moments that changed facts reach, where these have an end."""

_DETECT = """{%- set fingerprint = <THIS> %}
{%- if not is_incremental() %}
DROP TABLE IF EXISTS {{ fingerprint }};
{%- endif %}
CREATE TABLE IF NOT EXISTS {{ fingerprint }} (
  event_timestamp TIMESTAMP, facts BIGINT, hash <SUM_TYPE>, is_changed BOOLEAN
);
DELETE FROM {{ fingerprint }} WHERE facts IS NULL;
UPDATE {{ fingerprint }} SET is_changed = NULL;
INSERT INTO {{ fingerprint }}
SELECT
  COALESCE(found.event_timestamp, kept.event_timestamp),
  found.facts,
  found.hash,
  found.facts IS DISTINCT FROM kept.facts OR found.hash IS DISTINCT FROM kept.hash
FROM (
<FACTS>
) AS found
FULL JOIN {{ fingerprint }} AS kept
  ON found.event_timestamp = kept.event_timestamp
{%- if not var("gemel_from", none) %};
DELETE FROM {{ fingerprint }} WHERE is_changed IS NULL;
{%- else %}
{%- if is_incremental() %}
WHERE
  EXISTS(SELECT 1 FROM {{ fingerprint }}) OR NOT EXISTS(SELECT 1 FROM {{ this }})
{%- endif %};
DELETE FROM {{ fingerprint }}
WHERE
  is_changed IS NOT NULL AND (<OUTSIDE>);
DELETE FROM {{ fingerprint }}
WHERE
  is_changed IS NULL AND NOT (<OUTSIDE>);
UPDATE {{ fingerprint }} SET facts = 0, hash = NULL
WHERE
  is_changed AND NOT (<INSIDE>);
{%- endif %}
"""
"""The statements that compare the facts with the fingerprint of the last build, and replace it.

A step of the fingerprint that has no facts any more is there once more, with NULL. A build of a part leaves steps whose
rows are all outside of it as they were. It makes only some of the rows of a changed step at its edge: 0 facts say that
the next build must make such a step again, whatever its facts are then. If rows have no fingerprint, a part begins
none: the next build would take rows of facts that are gone for good.
"""

_DELETE = """{%- if is_incremental() %}
{%- if '<DEFINITION>' in (adapter.get_columns_in_relation(this) | map(attribute='name') | map('lower') | list) %}
{%- if var("gemel_from", none) %}
DELETE FROM {{ this }}
WHERE
  <UNLIKE>
  AND <MOMENT> >= '<FROM>'
  AND <MOMENT> < '<TO>';
{%- else %}
DELETE FROM {{ this }}
WHERE
  definition <> '<DIGEST>'
  OR <MOMENT> > (SELECT MAX(<MOMENT>) FROM {{ this }}) - <LOOKBACK><MORE>;
{%- endif %}
{%- elif var("gemel_from", none) %}
{{ exceptions.raise_compiler_error("<MESSAGE>") }}
{%- else %}
DELETE FROM {{ this }};
{%- endif %}
{%- endif %}
"""

_AND_CHANGED = """
  OR <MOMENT> > <LATEST>
  OR NOT EXISTS(SELECT 1 FROM {{ fingerprint }} WHERE NOT is_changed);
DELETE FROM {{ this }}
WHERE
  <MOMENT> >= (SELECT MIN(event_timestamp) FROM {{ fingerprint }} WHERE is_changed)"""

_UP_TO = """
  AND <MOMENT> <= (
    SELECT
      MAX(event_timestamp) + <REACH>
    FROM {{ fingerprint }}
    WHERE
      is_changed AND event_timestamp <= (SELECT MAX(<MOMENT>) FROM {{ this }})
  )"""


@dataclass(frozen=True, slots=True)
class Increment:
    """How the table of a view with a lookback is built on an engine; `digest` is the hash of its definition."""

    graph: Graph
    view: BoundView
    engine: Engine
    digest: str

    @property
    def within(self) -> Within:
        """The rows that the model makes, by the columns of `ranges`."""
        first, end, following = (
            exp.Subquery(this=exp.select(name).from_("build_range"))
            for name in ("first_moment", "end_moment", "next_moment")
        )
        return Within(first, end, following if self._reach else None)

    def ranges(self) -> str:
        """The CTE `build_range`, of one row, for the start of the model's SELECT."""
        return self._filled(_RANGES if self._reach else _RANGE)

    def statements(self, facts: str) -> str:
        """What the hook does before the model makes its rows, in one transaction with it. `facts` is the SELECT of the
        fingerprint.

        If the definition changed, all rows are deleted, so a backfill of a part is refused. A table that was built
        before its view had a `lookback` has no definition in its rows; it counts as built from another one.
        """
        if not self.view.detect:  # one from before would miss what changes until detection is switched on again
            return self._filled(f"DROP TABLE IF EXISTS <TABLE>;\n{_DELETE}", more="")
        more = _AND_CHANGED + (_UP_TO if self._reach else "")
        indented = "\n".join(f"  {line}" if line else line for line in facts.split("\n"))
        return self._filled(_DETECT + _DELETE, more=more).replace("<FACTS>", indented)

    @property
    def _reach(self) -> Window | None:
        """How much later than a changed fact there can be rows that it changes; None for ever, or if none is sought."""
        return find_reach(self.graph, self.view) if self.view.detect else None

    def _filled(self, text: str, *, more: str = "") -> str:
        dialect, reach = self.engine.dialect, self._reach
        late = "event_timestamp" if reach is None else f"event_timestamp + {_interval(reach, dialect)}"
        latest = self._latest()
        ends = latest if reach is None else f"LEAST({late}, {latest})"
        outside = f"event_timestamp >= '{_TO}'" + (f" OR {late} < '{_FROM}'" if reach else "")
        parts = {
            "MORE": more,
            "OUTSIDE": outside,
            "INSIDE": f"event_timestamp >= '{_FROM}' AND {ends} < '{_TO}'",
            "UNLIKE": self._unlike(),
            "MESSAGE": self._message,
            "REACH": _interval(reach, dialect) if reach else "",
            "LATEST": latest,
            "LOOKBACK": _interval(self.view.lookback, dialect) if self.view.lookback else "",
            "MICROSECOND": _interval(Window(1, "microsecond"), dialect),
            "MOMENT": moment_sql(self.engine),
            "SUM_TYPE": self.engine.row_hash.sum_type if self.engine.row_hash else "",
            "TABLE": f"{{{{ {_TABLE} }}}}",
            "THIS": _TABLE,
            "DIGEST": self.digest,
            "DEFINITION": DEFINITION,
            "FROM": _FROM,
            "TO": _TO,
        }
        for name, part in parts.items():
            text = text.replace(f"<{name}>", part)
        return text

    def _latest(self) -> str:
        """The last moment that can have a row."""
        latest = find_latest(self.view, timestamp(UNTIL))
        if self.view.delay:
            latest = exp.Add(this=latest, expression=interval(self.view.delay))
        return say(latest, self.engine.dialect)

    @property
    def _message(self) -> str:
        name = self.view.name
        return f"{name} was built from another definition: rebuild the whole table, without gemel_from, before a part"

    def _unlike(self) -> str:
        """A condition that is true, unless a row has another definition: then it fails."""
        unlike = f"CASE WHEN {DEFINITION} <> '{self.digest}' THEN "
        if self.engine.has(Capability.ERROR):
            return f"{unlike}error('{self._message}') ELSE true END"
        # PostgreSQL has no error(): casting a text that is not a boolean fails, with the text in the message. It
        # evaluates conditions in any order, so all rows are checked in a SELECT of their own.
        error = f"{unlike}CAST('{self._message}' || LEFT({DEFINITION}, 0) AS BOOLEAN) END"
        return f"(SELECT COUNT({error}) FROM {{{{ this }}}}) = 0"


def _interval(window: Window, dialect: str) -> str:
    return str(interval(window).sql(dialect))
