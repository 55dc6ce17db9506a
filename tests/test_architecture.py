"""Who may import whom, and what a module may not do. If this fails, move the line, not the rule."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vmcrawl"

# A name stands for a module, or for a package with everything in it.
PURE = """
    about address adoption advisory affected answer asking builds bumps caching catalogue coding dataset delay dnilist
    document domain due duration exclusion exposure failure fork instance judgement labels meaning namejson namelist
    nodeinfo observation optout orders outcome pace past peers plausible ranges reading robots schedule seen settings
    sight snapshot support tally target upstream url verdict version wayout webconfig wellknown wire witness
"""
EDGES = {
    "chart": "chart",
    "network": "connection deadline dial fetch gate hosts resolver stay tls",
    "store": "store",
    "embedded": "embedded",
    "log": "log",
    "process": "interruption machine",
    "sources": "asker sources",
    "exporter": "exporter",
}
ASSEMBLY = """
    again assignment batch chronicle crawl crew discovery finder harvest identity inquiry knowledge memory polite pool
    refresh takeover worker
"""
DOORS = "cli commands config config_values webfile __main__"

OWNERS = {
    "argparse": "cli commands",
    "bcrypt": "exporter",
    "defusedxml": "wellknown",
    "httptools": "answer",
    "idna": "domain",
    "ijson": "namejson peers",
    "matplotlib": "chart",
    "multiprocessing": "pool worker",
    "prometheus_client": "exporter",
    "protego": "robots",
    "psycopg": "store embedded exporter",
    "publicsuffixlist": "domain",
    "pyarrow": "commands",
    "pycares": "resolver",
    "requests": "asker",
    "rich": "commands",
    "shtab": "commands",
    "signal": "interruption pool worker",
    "socket": "address connection dial embedded exporter tls",
    "ssl": "asker connection exporter failure fetch tls",
    "subprocess": "embedded",
    "urllib3": "asker",
    "yaml": "config webfile",
}

NOT_PURE = {"asyncio", "logging", "os", "random", "secrets", "shutil", "socketserver", "tempfile", "time"}
CLOCK = {"now", "utcnow", "today", "monotonic", "perf_counter", "time_ns", "sleep"}
AT_WORK = {"open", "print", "connect", "getenv", "read_text", "read_bytes", "getaddrinfo", "run", "exit"} | CLOCK
ALLOWED_AT_IMPORT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.If)

LAYER = {
    name: layer for layer, names in [("pure", PURE), ("assembly", ASSEMBLY), ("doors", DOORS)] for name in names.split()
}
LAYER |= {name: f"edge {edge}" for edge, names in EDGES.items() for name in names.split()}

SOURCES = sorted(PACKAGE.rglob("*.py"))
modules = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))


def subject(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.func.id if isinstance(node.func, ast.Name) else node.func.attr


def test_every_module_has_its_place():
    homeless = {subject(path) for path in SOURCES} - LAYER.keys() - {"__init__"}
    assert not homeless, f"say in {Path(__file__).name} where these belong: {sorted(homeless)}"


@modules
def test_imports_go_downwards_only(path):
    here = LAYER.get(subject(path), "pure")
    allowed = {"pure", here}
    if here in ("assembly", "doors"):
        allowed |= {"assembly", *(f"edge {edge}" for edge in EDGES)}
    for name in imports(ast.parse(path.read_text())):
        top, _, rest = name.partition(".")
        there = LAYER.get(rest.partition(".")[0], "pure")
        assert top != "vmcrawl" or there in allowed, f"{here} may not import {name} ({there})"


@modules
def test_a_library_has_one_owner(path):
    for name in imports(ast.parse(path.read_text())):
        top = name.partition(".")[0]
        assert top in sys.stdlib_module_names | OWNERS.keys() | {"vmcrawl", "_typeshed"}, f"say who owns {top}"
        assert subject(path) in OWNERS.get(top, subject(path)).split(), f"{top} belongs to {OWNERS[top]}"


@modules
def test_a_pure_module_knows_no_clock_and_no_files(path):
    if LAYER.get(subject(path), "pure") == "pure":
        tree = ast.parse(path.read_text())
        assert not NOT_PURE & {name.partition(".")[0] for name in imports(tree)}
        assert not {*CLOCK, "open"} & set(calls(tree))


@modules
def test_nothing_happens_on_import_and_nothing_is_global(path):
    tree = ast.parse(path.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for node in tree.body if path.name != "__main__.py" else ():
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert docstring or isinstance(node, ALLOWED_AT_IMPORT), f"line {node.lineno} does something on import"
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert not AT_WORK & set(calls(node)), f"line {node.lineno} does something on import"


@pytest.mark.parametrize("folder", ["vmcrawl", "tests"])
def test_no_file_is_longer_than_350_lines(folder):
    assert not [str(path) for path in (ROOT / folder).rglob("*.py") if len(path.read_text().splitlines()) > 350]
