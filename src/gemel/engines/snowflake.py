"""Snowflake."""

from sqlglot import exp

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import asof_to_join, each_node, filter_to_case, is_true_to_coalesce
from gemel.engines.stores import FEAST, FeastStore, Settings, TargetSettings, split


def _store(settings: TargetSettings) -> Settings:
    login = {"password": settings.secret("password")}
    if settings.get("authenticator"):
        login = {"authenticator": settings.get("authenticator")}
    if settings.get("private_key_path"):
        login = {
            "private_key": settings.get("private_key_path"),
            "private_key_passphrase": settings.secret("private_key_passphrase"),
        }
    return {
        "type": "snowflake.offline",
        "account": settings.plain("account"),
        "user": settings.plain("user"),
        **login,
        "role": settings.get("role"),
        "warehouse": settings.plain("warehouse"),
        "database": settings.plain("database"),
        "schema": settings.get("schema"),
    }


@each_node
def floating_division(node: exp.Expr) -> exp.Expr:
    """Snowflake divides whole numbers into decimals with few places: cast them to floats first."""
    if isinstance(node, exp.Div):
        return exp.Div(this=exp.cast(node.this, "double"), expression=node.expression, typed=False, safe=False)
    return node


SNOWFLAKE = Engine(
    name="snowflake",
    dialect="snowflake",
    capabilities=COMMON | {Capability.FUNCTIONS, Capability.UPPER_CASE_NAMES, Capability.ROUNDS_HALF_AWAY},
    rewrites=(asof_to_join, is_true_to_coalesce, floating_division, filter_to_case),
    unscaled_types=frozenset({"NUMBER", "DECIMAL", "NUMERIC"}),
    address=("account",),
    create_table="{}",
    feast=FeastStore("SnowflakeSource", FEAST, split, _store),
)
