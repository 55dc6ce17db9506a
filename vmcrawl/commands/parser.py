"""What all commands are read with: in their helps an example stands on a line of its own, so that it can be copied."""

import argparse
import textwrap
from itertools import groupby
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser, and those of its commands, whose descriptions and epilogs :class:`Help` lays out."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**{"formatter_class": Help, **named})


class Help(argparse.HelpFormatter):
    """Fills paragraphs, and leaves alone what is indented: a command that is cut at the margin is no command."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = []
        for kept, lines in groupby(text.splitlines(), lambda line: line.startswith(" ") or not line.strip()):
            if kept:
                parts += [f"{indent}{line}".rstrip() for line in lines]
            else:
                parts.append(textwrap.fill(" ".join(lines), width, initial_indent=indent, subsequent_indent=indent))
        return "\n".join(parts)
