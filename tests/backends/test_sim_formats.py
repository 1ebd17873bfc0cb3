"""tmux's formats over a simulated server."""

from __future__ import annotations

import pytest

from backends.clock import VirtualClock
from backends.simulation import FakeServer
from backends.simulation_formats import Place, expand


@pytest.fixture
def place() -> Place:
    """The window `agent` of the session `run-1`, with options at every level."""
    server = FakeServer(VirtualClock(wall=1000.0))
    session = server.make_session("run-1", "/")
    server.make_window(session, "sh", "/", {}, ["sh"])
    window = server.make_window(session, "agent", "/w", {}, ["sleep", "60"])
    window.options["@token"] = "t1"
    session.options["@project"] = "demo"
    server.session_defaults["@now"] = "%s"
    server.options["@limit"] = "999"
    return Place(server, "3.3a", "/sock").at(session, window)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("plain", "plain"),
        ("#{window_id} #{window_name} #{session_name}", "@1 agent run-1"),
        ("#{pane_dead}#{pane_dead_status}#{pane_dead_signal}", "0"),
        ("#{window_active} #{pane_current_command} #{pane_start_path}", "0 sleep /w"),
        ("#{@token} #{@project} #{@limit} #{remain-on-exit}", "t1 demo 999 on"),
        ("#{nope}|#{@nope}", "|"),
        ("##{window_id} ## #(touch x)", "#{window_id} # #(touch x)"),
        ("#{pid} #{start_time} #{version} #{socket_path}", "5000001 1000 3.3a /sock"),
        ("#{==:a,a}#{==:a,b}#{!=:a,b}#{<:a,b}#{>:a,b}#{<=:a,a}#{>=:a,b}", "1011010"),
        ("#{==:#{window_id},@1}", "1"),
        ("#{<:9,10}#{e|<:9,10}#{e|<:10,9}", "010"),
        ("#{&&:1,0}#{&&:1,x}#{||:0,}#{||:0,1}", "0101"),
        ("#{?window_active,yes,no}", "no"),
        ("#{?#{==:a,a},#{window_id},no}", "@1"),
        ("#{?nope,yes}", ""),
        ("#{T:@now} #{E:@now}", "1000 %s"),
        ("#{&&:#{@now},#{<:#{T:@now},1001}}#{&&:#{@now},#{<:#{T:@now},0999}}", "10"),
        ("#{W:#{window_id},}", "@0,@1,"),
        ("#{P:#{pane_id} #{pane_dead}/}", "%1 0/"),
        ("#{S:#{session_name};}", "run-1;"),
        ("#{open", ""),
    ],
)
def test_a_format_is_expanded(place: Place, form: str, text: str) -> None:
    """As tmux 3.3a does it."""
    assert expand(form, place) == text


def test_a_dead_window_tells_how_it_ended(place: Place) -> None:
    """One of the two values, never both."""
    window = place.window
    assert window is not None
    assert window.process is not None
    window.process.die(9)

    assert expand("#{pane_dead},#{pane_dead_status},#{pane_dead_signal},#{pane_current_command}", place) == "1,,9,sh"


def test_without_a_window_only_the_server_speaks(place: Place) -> None:
    """What belongs to a window or session is empty."""
    bare = Place(place.server, "3.3a", "/sock")

    assert expand("#{window_id}#{session_name}#{@token}#{@project} #{pid} #{@limit}", bare) == " 5000001 999"
