"""Where configuration values come from: dlt's own providers, and the rules that a value must keep.

Owns reading and checking one section; which keys there are stands in `settings`. Nothing is read from the
network and nothing is written.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pipelines.errors import ConfigurationError

# The name of the source that has text only.
ENVIRONMENT = "the environment"
# Sections of the same files that belong to dlt itself.
DLT_SECTIONS = frozenset({"runtime", "load", "normalize", "extract", "data_writer", "schema", "destination"})
# Ours that hold a section for each name, such as [tenants.contoso].
NAMED_SECTIONS = ("tenants", "auth")
# Ours that hold keys.
PLAIN_SECTIONS = ("sync", "alerts")

# How true and false are written; text is what the environment has.
TRUTHS = {"true": True, "false": False}

Record = TypeVar("Record")


@dataclass(frozen=True)
class Source:
    """One of dlt's providers: its name for messages, its whole document, and a look-up of one key."""

    name: str
    document: Mapping[str, Any]
    get: Callable[[str, bool], Any]


def read_sources() -> list[Source]:
    """Dlt's providers in the order in which they win: environment, secrets, config."""
    import tomlkit
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.providers import EnvironProvider
    from dlt.common.configuration.providers.doc import BaseDocProvider
    from dlt.common.configuration.providers.toml import TomlProviderReadException
    from dlt.common.configuration.specs import PluggableRunContext
    from dlt.common.typing import TSecretStrValue

    try:
        providers = Container()[PluggableRunContext].providers.providers
    except TomlProviderReadException as error:
        named = _unreadable(error.full_paths) or f"the configuration cannot be read: {_one_line(error)}"
        raise ConfigurationError(named) from error
    except Exception as error:
        raise ConfigurationError(f"the configuration cannot be read: {_one_line(error)}") from error

    sources = []
    for provider in providers:

        def get(dotted: str, secret: bool, provider: Any = provider) -> Any:
            *sections, key = dotted.split(".")
            return provider.get_value(key, TSecretStrValue if secret else str, "", *sections)[0]

        if isinstance(provider, EnvironProvider):
            sources.append(Source(ENVIRONMENT, _environment_document(), get))
        elif isinstance(provider, BaseDocProvider):
            places = ", ".join(provider.present_locations) or provider.name
            document = tomlkit.parse(provider.to_toml()).unwrap()
            sources.append(Source(places, document, get))
    return sources


def _environment_document() -> dict[str, Any]:
    document: dict[str, Any] = {}
    for variable, value in os.environ.items():
        head, separator, rest = variable.partition("__")
        if not separator or not head.isupper() or head.lower() not in (*PLAIN_SECTIONS, *NAMED_SECTIONS):
            continue
        if rest != rest.upper():
            # It would look like a known key, and never be read.
            raise ConfigurationError(f"{ENVIRONMENT}: {variable} must be in capitals: {variable.upper()}")
        section = document.setdefault(head.lower(), {})
        if head.lower() in NAMED_SECTIONS:
            # A tenant's name may end in an underscore, a key begins with none.
            name, rest = [*re.split(r"__(?!_)", rest, maxsplit=1), ""][:2]
            section = section.setdefault(name.lower(), {})
        section[rest.lower()] = value
    return document


def refuse_unknown_sections(sources: Iterable[Source]) -> None:
    for source in sources:
        for section, content in source.document.items():
            if section in DLT_SECTIONS:
                continue
            if section not in (*PLAIN_SECTIONS, *NAMED_SECTIONS):
                raise ConfigurationError(
                    f"{source.name}: unknown section or key '{section}'; known are [sync], [alerts], [tenants.NAME] "
                    "and [auth.NAME]"
                )
            if not isinstance(content, Mapping):
                raise ConfigurationError(f"{source.name}: '{section}' must be a section: [{section}]")


def section_names(kind: str, sources: Iterable[Source]) -> list[str]:
    """The names under `tenants` or `auth`."""
    names: dict[str, None] = {}
    for source in sources:
        for name, content in source.document.get(kind, {}).items():
            if not isinstance(content, Mapping):
                raise ConfigurationError(f"{source.name}: unknown key {kind}.{name}; write [{kind}.NAME]")
            names[name] = None
    return list(names)


def refuse_unknown_keys(section: str, allowed: Iterable[str], sources: Iterable[Source]) -> None:
    """Raise ConfigurationError where a section has a key that is not allowed in it."""
    allowed = sorted(allowed)
    for source in sources:
        content: Any = source.document
        for part in section.split("."):
            content = content.get(part, {})
        for key in content:
            if key not in allowed:
                raise ConfigurationError(
                    f"{source.name}: unknown key {section}.{key}; known are {', '.join(allowed)}"
                )


def read_record(
    kind: type[Record],
    section: str,
    sources: Iterable[Source],
    *,
    keys: Iterable[str] | None = None,
    **given: Any,
) -> Record:
    """A record of the keys of `section` (all, or those of `keys`); `given` stands where there is no value."""
    values = dict(given)
    for each in fields(kind):  # type: ignore[arg-type]
        if not each.metadata or (keys is not None and each.name not in keys):
            continue
        key = f"{section}.{each.name}"
        for source in sources:
            raw = source.get(key, each.metadata["secret"])
            if raw is not None:
                values[each.name] = _checked(key, raw, each, source.name)
                break
    return kind(**values)


def _checked(key: str, raw: Any, each: Field[Any], place: str) -> Any:
    default = each.default if each.default is not MISSING else ()
    try:
        if isinstance(raw, str) and not isinstance(default, str) and place != ENVIRONMENT:
            raise TypeError
        value = _coerced(raw, default)
    except (ValueError, TypeError, KeyError, AttributeError):
        shown = "the value" if each.metadata["secret"] else repr(raw)
        raise ConfigurationError(f"{place}: {key} must be {_type_name(default)}, not {shown}") from None
    problem = _broken_rule(value, each.metadata)
    if problem:
        raise ConfigurationError(f"{place}: {key} {problem}")
    return value


def _coerced(raw: Any, default: Any) -> Any:
    """`raw` in the type of `default`; text, which is all that the environment has, is read as any type."""
    if isinstance(default, tuple):
        return _text_list(raw)
    if isinstance(default, bool):
        return raw if isinstance(raw, bool) else TRUTHS[raw.strip().lower()]
    if isinstance(raw, bool):
        raise TypeError
    if isinstance(default, int):
        if isinstance(raw, float):
            raise TypeError
        return int(raw)
    if isinstance(default, float):
        return float(raw)
    if not isinstance(raw, str):
        raise TypeError
    return raw.strip()


def _text_list(raw: Any) -> tuple[str, ...]:
    if isinstance(raw, str):
        raw = json.loads(raw) if raw.lstrip().startswith("[") else [part.strip() for part in raw.split(",")]
    if not isinstance(raw, list) or not all(isinstance(part, str) for part in raw):
        raise TypeError
    return tuple(part for part in raw if part)


def _type_name(default: Any) -> str:
    names = {
        bool: "true or false",
        tuple: "a list of names",
        int: "a whole number",
        float: "a number",
        str: "text in quotes",
    }
    return names[type(default)]


def _broken_rule(value: Any, rules: Mapping[str, Any]) -> str | None:
    if rules["at_least"] is not None and not value >= rules["at_least"]:
        return f"must be at least {rules['at_least']}, not {value}"
    if rules["at_most"] is not None and not value <= rules["at_most"]:
        return f"must be at most {rules['at_most']}, not {value}"
    if rules["choices"] is not None:
        for each in value if isinstance(value, tuple) else (value,):
            if each not in rules["choices"]:
                return f"must be one of {', '.join(rules['choices'])}, not '{each}'"
    if rules["pattern"] is not None and value and not re.fullmatch(rules["pattern"], value):
        return f"has a value of the wrong form: '{value}'"
    return None


def _unreadable(paths: Iterable[str]) -> str | None:
    """Which file is no TOML, and where; dlt names all that it looks for."""
    import tomlkit

    for path in map(Path, paths):
        try:
            text = path.read_text("utf-8")
            if text.startswith("\N{BYTE ORDER MARK}"):
                return (
                    f"{path} cannot be read: it begins with a byte order mark; save it as UTF-8 without one"
                )
            tomlkit.parse(text)
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        except (ValueError, tomlkit.exceptions.TOMLKitError) as error:
            return f"{path} cannot be read: {_one_line(error)}"
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
