"""What the charts and the tables about them promise a reader is true of the live machines."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from machines.conversation import chart
from machines.diagrams.edges import room_edges
from machines.guard_expressions import guard_names
from machines.tables import CONVERSATION, MACHINES, Machine, leaves, room_of, rooms, rows

ROOT = Path(__file__).parents[3]


def test_the_docstring_lists_exactly_the_arrows_of_the_chart() -> None:
    listed = re.findall(r"(?m)^([A-Z]+) → ([A-Z]+) +\S", chart.__doc__ or "")
    assert len(listed) == len(set(listed))
    assert set(listed) == {(edge.source, edge.target) for edge in room_edges(CONVERSATION)}


def test_the_docstring_lists_the_states_with_their_substates() -> None:
    listed = re.findall(r"(?m)^([A-Z]+) +((?:[a-z_]+, )*[a-z_]+)$", chart.__doc__ or "")
    states = {
        room: [state.id for state in leaves(CONVERSATION.chart) if room_of(state) == room]
        for room, _ in listed
    }
    assert {room: substates.split(", ") for room, substates in listed} == states
    assert list(states) == list(rooms(CONVERSATION.chart))


def test_every_file_that_the_chart_names_exists() -> None:
    """So its sections cannot send a reader to a file that was renamed."""
    source = inspect.getsource(chart)
    folder = Path(inspect.getfile(chart)).parent
    named = set(re.findall(r"\w+\.py", source))
    assert "ignored.py" in named
    assert [name for name in named if not (folder / name).is_file()] == []
    assert "diagrams/conversation.md" in source


@pytest.mark.parametrize("machine", MACHINES, ids=[machine.name for machine in MACHINES])
def test_the_table_sends_a_reader_of_the_chart_to_each_guard_and_action(machine: Machine) -> None:
    """Each that the chart names is in the table, with the file that defines it and what it is for."""
    table = (ROOT / "diagrams" / f"{machine.name}.md").read_text().split("## Guards and actions")[1]
    listed = dict(re.findall(r"(?m)^\| `(\w+)` \| (?:guard|action) \| (.*) \|$", table))
    found = rows(machine.chart)
    assert set(listed) == {name for row in found for name in (*guard_names(row.guard), *row.actions)}
    for name, cells in listed.items():
        place, purpose = cells.split(" | ", 1)
        file = ROOT / "diagrams" / re.findall(r"\((.*)\)", place)[0]
        assert re.search(rf"(?m)^    def {name}\(self", file.read_text()), (name, file)
        assert purpose.strip(), name
