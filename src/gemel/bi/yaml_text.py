"""YAML as a person would write it: keys in the order given, long texts in blocks."""

import json
import re
from typing import Any

import yaml

_SAFE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SAFE):  # type: ignore[misc]  # which of the two is decided here
    """That of libyaml, if it is installed."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    """Several lines as a block. A YAML block keeps no space at the end of a line, and no tab at its start."""
    block = "\n" in text and not re.search(r"[ \t]\n|^[ \t]|[ \t]$|[^\x20-\x7e\n\xa0-\ud7ff]", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if block else None)


_Dumper.add_representer(str, _text)


def dump(data: object) -> str:
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def literal(data: Any) -> Any:
    """Definitions whose texts dbt keeps unchanged. dbt renders every text except filters as a template, so a text in a
    file from somebody else could read an environment variable.
    """
    match data:
        case dict():
            return {key: value if key in _FILTERS else literal(value) for key, value in data.items()}
        case list():
            return [literal(each) for each in data]
        case str() if any(mark in data for mark in ("{{", "{%", "{#")):
            return f"{{{{ {json.dumps(data)} }}}}" if "endraw" in data else f"{{% raw %}}{data}{{% endraw %}}"
        case _:
            return data


_FILTERS = ("filter", "where")


def load_all(text: str) -> list[Any]:
    """Every document of a stream. Raises yaml.YAMLError."""
    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def commented(lines: list[str], mark: str = "#") -> str:
    """Comment lines in front of a document."""
    return "".join(f"{mark} {line}\n" if line else f"{mark}\n" for each in lines for line in each.splitlines() or [""])
