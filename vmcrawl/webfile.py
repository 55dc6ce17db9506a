"""The file with the exporter's web configuration, read again whenever it has changed."""

import threading
from collections.abc import Callable
from pathlib import Path

import yaml

from vmcrawl.config import ConfigError, file_text, yaml_line, yaml_root
from vmcrawl.webconfig import InvalidWebConfig, WebConfig, parse_web_config


class WebConfigFile:
    """Calling it gives what the file says now; it may be called by several threads.

    Raises :class:`ConfigError`, which names file, line and key. Once the file has said something, an empty one is an
    error, too: it is most likely being written just now, and would let everybody in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._text = ""
        self._config = WebConfig()

    def __call__(self) -> WebConfig:
        text = file_text(self._path)
        with self._lock:
            if text != self._text:
                if not text.strip():
                    raise ConfigError(f"{self._path}: is empty now")
                self._config, self._text = _read(self._path, text), text
            return self._config


def _read(path: Path, text: str) -> WebConfig:
    places: dict[tuple[str, ...], str] = {}
    root = yaml_root(path, text)
    document = None if root is None else _value(path, root, (), places)
    try:
        return parse_web_config(document, path.parent)
    except InvalidWebConfig as error:
        lines = []
        for problem in error.problems:
            key = problem.key
            while key and key not in places:
                key = key[:-1]
            lines.append(f"{places.get(key, path)}: {' '.join(['.'.join(problem.key), problem.why]).strip()}")
        raise ConfigError("\n".join(lines)) from error


def _value(path: Path, node: yaml.Node, key: tuple[str, ...], places: dict[tuple[str, ...], str]) -> object:
    """The plain value of a node; notes in ``places`` where each key stands. A key is the text that stands there."""
    if isinstance(node, yaml.MappingNode):
        values: dict[str, object] = {}
        for name, value in node.value:
            place = yaml_line(path, name.start_mark)
            if not isinstance(name, yaml.ScalarNode):
                raise ConfigError(f"{place}: a key must be a plain word")
            inner = (*key, name.value)
            if name.value in values:
                raise ConfigError(f"{place}: {'.'.join(inner)} stands here for the second time")
            places[inner] = place
            values[name.value] = _value(path, value, inner, places)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, item, key, places) for item in node.value]
    return _scalar(path, node)


def _scalar(path: Path, node: yaml.Node) -> object:
    # PyYAML has no types for what its constructors take.
    construct: Callable[[yaml.Node], object] = yaml.constructor.SafeConstructor().construct_object
    try:
        return construct(node)
    except (ValueError, yaml.YAMLError) as error:  # such as the 40th of a month
        raise ConfigError(f"{yaml_line(path, node.start_mark)}: not a value: {node.value[:60]!r}") from error
