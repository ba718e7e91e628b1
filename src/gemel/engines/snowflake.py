"""Snowflake."""

from sqlglot import exp

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import asof_to_join, each_node, filter_to_case, is_true_to_coalesce
from gemel.engines.stores import FEAST, FeastStore, Settings, TargetSettings, split


def _store(given: TargetSettings) -> Settings:
    login = {"password": given.secret("password")}
    if given.get("authenticator"):
        login = {"authenticator": given.get("authenticator")}
    if given.get("private_key_path"):
        login = {
            "private_key": given.get("private_key_path"),
            "private_key_passphrase": given.secret("private_key_passphrase"),
        }
    return {
        "type": "snowflake.offline",
        "account": given.plain("account"),
        "user": given.plain("user"),
        **login,
        "role": given.get("role"),
        "warehouse": given.plain("warehouse"),
        "database": given.plain("database"),
        "schema": given.get("schema"),
    }


@each_node
def floating_division(node: exp.Expr) -> exp.Expr:
    """Whole numbers are divided into decimals of few places: they are made floating first."""
    if isinstance(node, exp.Div):
        return exp.Div(this=exp.cast(node.this, "double"), expression=node.expression, typed=False, safe=False)
    return node


SNOWFLAKE = Engine(
    name="snowflake",
    dialect="snowflake",
    capabilities=COMMON | {Capability.UPPER_CASE_NAMES},
    rewrites=(asof_to_join, is_true_to_coalesce, floating_division, filter_to_case),
    unscaled_types=frozenset({"NUMBER", "DECIMAL", "NUMERIC"}),
    address=("account",),
    feast=FeastStore("SnowflakeSource", FEAST, split, _store),
)
