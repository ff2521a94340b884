"""The subjects of the conversation machine can be read one at a time: none of them builds on another.

What several of them need is a function over the machine's memory, or a method of the memory itself.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from pathlib import Path

import pytest

from machines.conversation.chart import ConversationChart
from machines.conversation.machine import Conversation
from machines.driver import Chart
from machines.guard_expressions import guard_names
from machines.tables import rows

SUBJECTS = tuple(each for each in Conversation.__bases__ if each is not ConversationChart)
HOMES = frozenset(each.__module__ for each in SUBJECTS)
ASKED_FOR = {name for row in rows(Conversation) for name in (*guard_names(row.guard), *row.actions)}
"""The guards and actions that the chart names."""


def own_names(subject: type) -> set[str]:
    """The methods that are written in a subject's class."""
    return {name for name, each in vars(subject).items() if inspect.isfunction(each)}


def of_ids(subject: type) -> str:
    return subject.__name__


def test_every_guard_and_action_belongs_to_a_subject() -> None:
    assert set().union(*(own_names(each) for each in SUBJECTS)) >= ASKED_FOR


@pytest.mark.parametrize("subject", SUBJECTS, ids=of_ids)
def test_a_subject_builds_on_no_other(subject: type) -> None:
    assert subject.__bases__ == (Chart,)


@pytest.mark.parametrize("subject", SUBJECTS, ids=of_ids)
def test_a_subject_offers_nothing_but_the_guards_and_actions_of_the_chart(subject: type) -> None:
    assert {name for name in own_names(subject) if not name.startswith("_")} <= ASKED_FOR


@pytest.mark.parametrize("subject", SUBJECTS, ids=of_ids)
def test_a_subject_calls_only_itself_and_its_memory(subject: type) -> None:
    """So nobody needs to know where in thirteen files a method is."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(subject)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    assert used - own_names(subject) <= {"context"}


@pytest.mark.parametrize("subject", SUBJECTS, ids=of_ids)
def test_a_subject_imports_no_other(subject: type) -> None:
    tree = ast.parse(Path(inspect.getfile(subject)).read_text())
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in (node.module, *(f"{node.module}.{each.name}" for each in node.names))
    }
    assert not imported & HOMES


def test_no_two_subjects_have_a_method_of_the_same_name() -> None:
    count = Counter(name for each in SUBJECTS for name in own_names(each))
    assert [name for name, times in count.items() if times > 1] == []


def test_each_subject_is_described_in_one_line() -> None:
    described = re.findall(r"(?m)^(\w+) {2,}\S", inspect.getdoc(Conversation) or "")
    assert described == [each.__name__ for each in Conversation.__bases__]
