"""The rules for manifests can speak: each is provoked by a change that it was made for, and none is idle."""

import ast
import copy
from functools import cache
from pathlib import Path

import pytest

from tests.deploy import mutants, mutants_in_use, policy
from tests.deploy.manifests import Document, name_of, rendered
from tests.deploy.mutant import GONE, Mutant
from tests.deploy.policy import problems
from tests.deploy.policy.problem import Problem

MUTANTS = [*mutants.MUTANTS, *mutants_in_use.MUTANTS]


def _id(mutant: Mutant) -> str:
    return f"{mutant.document.rpartition('/')[2]} {' '.join(mutant.path.split()[-3:])}: {mutant.said}"


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=lambda number: _id(MUTANTS[number]))
def test_a_change_for_the_worse_is_found(number):
    found = _new_problems(number)
    assert any(MUTANTS[number].said in str(problem) for problem in found), [str(problem) for problem in found]


def test_every_rule_is_provoked_by_some_change():
    spoken = {
        problem.rule
        for number, mutant in enumerate(MUTANTS)
        for problem in _new_problems(number)
        if mutant.said in str(problem)
    }
    rules = {
        (path.name, node.lineno)
        for path in Path(policy.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "problem"
    }
    assert len(rules) > 120
    assert sorted(rules - spoken) == []


@cache
def _new_problems(number: int) -> tuple[Problem, ...]:
    """What is wrong with the changed documents that was not wrong before."""
    mutant = MUTANTS[number]
    documents, before = rendered(mutant.rendered), _problems_before(mutant.rendered)
    changed = [_changed(document, mutant) if _is(document, mutant.document) else document for document in documents]
    assert [*documents] != changed, "nothing has been changed"
    return tuple(problem for problem in problems(tuple(changed)) if str(problem) not in before)


@cache
def _problems_before(name: str) -> frozenset[str]:
    return frozenset(str(problem) for problem in problems(rendered(name)))


def _is(document: Document, name: str) -> bool:
    """Whether it is of that name; ConfigMaps may have a hash behind theirs."""
    return name_of(document) == name or (document["kind"] == "ConfigMap" and name_of(document)[:-11] == name)


def _changed(document: Document, mutant: Mutant) -> Document:
    document = copy.deepcopy(document)
    *path, last = mutant.path.split()
    place: object = document
    for word in path:
        if isinstance(place, list):
            place = place[int(word)]
        elif isinstance(place, dict):
            place = place.setdefault(word, {})
    if isinstance(place, list):
        # One more, one less, or another.
        index = len(place) if last == "+" else int(last)
        place[index : index + 1] = [] if mutant.value is GONE else [mutant.value]
    elif isinstance(place, dict):
        if mutant.value is GONE:
            del place[last]
        else:
            place[last] = mutant.value
    return document
