"""The declaration of an on-demand view in Feast: the inputs of a request, and the function that computes it."""

from collections.abc import Iterator, Mapping

from gemel.features.types import TYPES
from gemel.on_demand.computing import Computed
from gemel.python_text import call, format_list, literal, tags


def request_source(computed: Computed) -> str:
    view = computed.view
    return f"{view.name}_request = " + call(
        "RequestSource",
        name=literal(f"{view.name}_request"),
        schema=format_list(call("Field", name=literal(name), dtype=TYPES[type_].feast) for name, type_ in view.inputs),
        description=literal(f"The inputs of a request for {view.name}."),
        owner=literal(view.owner) if view.owner else None,
    )


def on_demand_view(computed: Computed, sources: Mapping[str, str]) -> str:
    """`sources` are the digests of the features that it uses.

    Python mode, for all rows at once: in pandas mode integers beside NULLs lose digits, and as a singleton Feast
    cannot run it offline.
    """
    view = computed.view
    views = [f"{name}_view[{format_list(map(literal, columns))}]" for name, columns in computed.view.sources]
    decorator = call(
        "on_demand_feature_view",
        name=literal(view.name),
        sources=format_list([f"{view.name}_request", *views]),
        # Feast's registry loses all other properties of a field, and then does not recognise the field.
        schema=format_list(
            call("Field", name=literal(name), dtype=TYPES[term.type].feast) for name, term in computed.terms.items()
        ),
        mode=literal("python"),
        description=literal(_flat(view.description)) if view.description else None,
        tags=tags(
            {**dict(view.tags), "definition": computed.digest(sources), **dict(_feature_tags(computed, sources))}
        ),
        owner=literal(view.owner) if view.owner else None,
    )
    declared = (
        "# Feast would run it on sample values to infer the types, and a NULL has none. The types are declared above.\n"
        f"{view.name}_view.infer_features = lambda: None"
    )
    return f"\n@{decorator}\n{computed.python(f'{view.name}_view')}\n\n\n{declared}"


def _feature_tags(computed: Computed, sources: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    for feature in computed.view.features:
        yield f"{feature.name}.expr", _flat(feature.expr)
        yield f"{feature.name}.description", _flat(feature.description) if feature.description else None
        yield f"{feature.name}.definition", computed.digest(sources, feature.name)


def _flat(text: str) -> str:
    return " ".join(text.split())
