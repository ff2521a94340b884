"""What the chart's docstring and section titles promise is true of the live machine."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from machines.conversation import chart
from machines.diagrams.edges import room_edges
from machines.tables import CONVERSATION, leaves, room_of, rooms


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


def test_every_section_of_the_chart_names_files_that_exist() -> None:
    titles = re.findall(r"(?m)^    # --- (.*)$", inspect.getsource(chart))
    named = {name for title in titles for name in re.findall(r"\w+\.py", title)}
    folder = Path(inspect.getfile(chart)).parent
    assert {"links.py", "interruptions.py"} <= named
    assert [name for name in named if not (folder / name).is_file()] == []
