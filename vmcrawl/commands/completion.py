"""``vmcrawl completion``: commands, options and choices at the press of TAB, for the shells people use."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from vmcrawl.settings import Settings

_DESCRIPTION = """Writes a script that completes commands, options, choices and names of files. It asks nothing of
vmcrawl when TAB is pressed: write it anew after an update."""
_EPILOG = """for example:
  vmcrawl completion bash > ~/.local/share/bash-completion/completions/vmcrawl
  vmcrawl completion zsh > ~/.zfunc/_vmcrawl
  vmcrawl completion fish > ~/.config/fish/completions/vmcrawl.fish

zsh finds it if fpath has that folder before compinit: fpath+=~/.zfunc in ~/.zshrc."""


def configure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "completion",
        help="a script for completion in bash, zsh or fish",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="bash|zsh|fish")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Write the script for the parser that read these arguments."""
    # It takes a tenth of a second to load, which no other command should wait for.
    import shtab

    for action in _actions(arguments.parser):
        # A list may also be at an address, so it is no Path.
        if action.type is Path or action.metavar in ("FILE", "LIST"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # how shtab is told
    sys.stdout.write(shtab.complete(arguments.parser, shell=arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _actions(each)
