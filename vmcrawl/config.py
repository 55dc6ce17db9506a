"""From built-in defaults, a YAML file, the environment and the command line to one frozen ``Settings``."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from vmcrawl.config_values import Written, read_value, shown
from vmcrawl.duration import format_duration
from vmcrawl.settings import Settings

_LARGEST_FILE = 1 << 18
_FROM_FILE = "_file"
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
#: Kubernetes and Docker set these for a service called vmcrawl-exporter (or -http, ...); nobody wrote them for us.
_SERVICE_LINK = re.compile(r"(service_(host|port.*)|port(_\d+_(tcp|udp|sctp).*)?|name|env_.*)", re.ASCII)


class ConfigError(ValueError):
    """Everything that is wrong with the configuration, one line each: where, which key, why."""


def load_config(
    path: Path | None, environment: Mapping[str, str], overrides: Mapping[tuple[str, str], object]
) -> Settings:
    """Put the settings together; a later source wins over an earlier one.

    1. the built-in defaults
    2. the file ``path``, else the one that ``VMCRAWL_CONFIG`` names, else none: no file is looked for
    3. variables ``VMCRAWL_<SECTION>_<KEY>`` of ``environment``, or ``VMCRAWL_<SECTION>_<KEY>_FILE``, which names a file
       that holds the value, as orchestrators mount secrets; lists are separated by commas
    4. ``overrides`` by ``(section, key)``, from the command line; ``None`` means not given

    Raises :class:`ConfigError` that names every mistake in every source, also where a later source hides it.
    """
    if path is None and environment.get("VMCRAWL_CONFIG"):
        path = Path(environment["VMCRAWL_CONFIG"])
    entries = [*_from_environment(environment), *_from_command_line(overrides)]
    problems = []
    if path is not None:
        try:
            entries = [*_from_file(path), *entries]
        except ConfigError as error:
            problems.append(str(error))
    # Unlike ``Path.expanduser`` this does not fail where nobody has a home, as in a container with any user id.
    directory = Path(os.path.expanduser(Settings().database.directory))
    values: dict[str, dict[str, Any]] = {"database": {"directory": directory}}
    for entry in entries:
        problem = entry.problem or _read_into(values, entry)
        if problem:
            problems.append(f"{entry.place}: {problem}")
    if problems:
        raise ConfigError("\n".join(problems))
    settings = Settings()
    sections = {name: replace(getattr(settings, name), **found) for name, found in values.items()}
    return replace(settings, **sections)


def file_text(path: Path) -> str:
    """The text of a file of settings, or of one setting; raises :class:`ConfigError`."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ConfigError(f"{path}: larger than {_LARGEST_FILE >> 10} KiB")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error


def yaml_root(path: Path, text: str) -> yaml.Node | None:
    """The tree of a file of settings, which cannot grow beyond its text; raises :class:`ConfigError`."""
    try:
        _check_tokens(path, text)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{yaml_line(path, error.problem_mark)}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def yaml_line(path: Path, mark: yaml.Mark | None) -> str:
    """Where something stands, for a message."""
    return f"{path}, line {mark.line + 1}" if mark else str(path)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One value as it was written somewhere, or what is wrong with that place."""

    place: str
    section: str = ""
    key: str = ""
    written: Written = ""
    problem: str = ""


def _read_into(values: dict[str, dict[str, Any]], entry: _Entry) -> str:
    known = _known()
    if entry.section not in known:
        return f"{shown(entry.section)} is no section{_did_you_mean(entry.section, [*known])}"
    name = f"{entry.section}.{entry.key}"
    hints = known[entry.section]
    if entry.key not in hints:
        return f"{shown(name)} is no setting{_did_you_mean(name, [f'{s}.{k}' for s in known for k in known[s]])}"
    try:
        values.setdefault(entry.section, {})[entry.key] = read_value(name, hints[entry.key], entry.written)
    except ValueError as error:
        return f"{name} {error}"
    return ""


def _known() -> dict[str, dict[str, object]]:
    return {section: get_type_hints(kind) for section, kind in get_type_hints(Settings).items()}


def _did_you_mean(word: str, known: list[str]) -> str:
    close = get_close_matches(word.lower()[:100], known, n=1, cutoff=0.7)
    if not close:  # A key in the wrong section.
        close = [name for name in known if "." in name and name.partition(".")[2] == word.partition(".")[2]]
    return f"; did you mean {close[0]}?" if close else ""


def _from_environment(environment: Mapping[str, str]) -> Iterator[_Entry]:
    known = _known()
    for name in sorted(environment):
        section, _, key = name.removeprefix("VMCRAWL_").lower().partition("_")
        if not name.startswith("VMCRAWL_") or section not in known:
            continue
        if key not in known[section] and key.removesuffix(_FROM_FILE) in known[section]:
            yield from _from_named_file(name, section, key.removesuffix(_FROM_FILE), environment)
        elif key in known[section] or not _SERVICE_LINK.fullmatch(key):
            yield _Entry(name, section, key, environment[name])


def _from_named_file(name: str, section: str, key: str, environment: Mapping[str, str]) -> Iterator[_Entry]:
    itself = name[: -len(_FROM_FILE)]
    if not environment[name]:
        return
    if environment.get(itself):
        yield _Entry(name, problem=f"{itself} is set, too: one of them has to go")
        return
    try:
        yield _Entry(name, section, key, file_text(Path(environment[name])))
    except ConfigError as error:
        yield _Entry(name, problem=str(error))


def _from_command_line(overrides: Mapping[tuple[str, str], object]) -> Iterator[_Entry]:
    for (section, key), value in overrides.items():
        if value is not None:
            yield _Entry("command line", section, key, _written(value))


def _written(value: object) -> Written:
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    if isinstance(value, timedelta):
        return format_duration(value) if value >= timedelta(0) else str(value)
    return str(value)


def _from_file(path: Path) -> Iterator[_Entry]:
    for place, section, block in _pairs(path, yaml_root(path, file_text(path))):
        if block is None:
            yield _Entry(place, problem=section)
        elif section not in _known():
            yield _Entry(place, section)
        else:
            for place_of_key, key, node in _pairs(path, block, section):
                yield _Entry(place_of_key, problem=key) if node is None else _entry(place_of_key, section, key, node)


def _pairs(path: Path, node: yaml.Node | None, section: str = "") -> Iterator[tuple[str, str, yaml.Node | None]]:
    """Place, key and value of each pair; where something is wrong, no value and the problem in place of the key."""
    if node is None or _is_empty(node):
        return
    if not isinstance(node, yaml.MappingNode):
        yield yaml_line(path, node.start_mark), f"{section or 'the file'} expects keys, each with a value", None
        return
    seen = set()
    for key, value in node.value:
        place = yaml_line(path, key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            yield place, "a key must be a plain word", None
        elif key.value in seen:
            yield place, f"{shown(f'{section}.{key.value}'.lstrip('.'))} stands here for the second time", None
        else:
            seen.add(key.value)
            yield place, key.value, value


def _entry(place: str, section: str, key: str, node: yaml.Node) -> _Entry:
    if _is_empty(node):  # ``key:`` and ``key: null``, as for a path that is not set
        return _Entry(place, section, key, "")
    if isinstance(node, yaml.ScalarNode):
        return _Entry(place, section, key, node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return _Entry(place, section, key, [item.value for item in node.value])
    return _Entry(place, problem=f"{section}.{key} expects a value, or a list of values")


def _is_empty(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"


def _check_tokens(path: Path, text: str) -> None:
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > 10:  # Each further storey makes the scanner slower.
            raise ConfigError(f"{yaml_line(path, token.start_mark)}: nested too deeply")
        # An alias lets a small file grow without end ("billion laughs"), and nothing here needs one.
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
            raise ConfigError(f"{yaml_line(path, token.start_mark)}: anchors, aliases and tags are refused")
