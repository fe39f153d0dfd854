"""The report on the hub against a stand-in, and without any: never slow, never showing a token."""

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from configurations import changed, load
from huggingface_hub import constants
from stand_in_hub import StandInHub
from stiltgrid.grid.grid import Grid
from stiltgrid.workflow import doctor, doctor_hub
from stiltgrid.workflow.doctor_hub import Wanted
from stiltgrid.workflow.findings import screen

XNLI, MNLI, TATOEBA = "facebook/xnli", "nyu-mll/multi_nli", "mteb/tatoeba-bitext-mining"


@pytest.fixture
def grid() -> Grid:
    """Two targets on the hub."""
    return load(changed(source="hub", intermediates=["none", "mnli"], targets=["xnli", "tatoeba"], tasks={}))


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return "hf_secret"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that refuses connections."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    yield


def test_the_repositories_are_those_of_the_selected_tasks(grid: Grid) -> None:
    found = {each.name: each.users for each in doctor_hub.wanted_repositories(grid)}
    mnli = grid.cards["mnli"].hub
    assert mnli is not None and found[mnli["path"]] == ("mnli",) and found[XNLI] == ("xnli",)
    assert not any("squad" in name for name in found), "squad is in the catalogue, not in the experiment"


def test_an_experiment_without_the_hub_asks_it_nothing(hub: StandInHub) -> None:
    findings = doctor_hub.hub_findings(load(changed()))
    assert [finding.about for finding in findings] == ["hub", "cache"] and hub.requests == []


def test_a_reachable_hub_and_where_the_token_comes_from(hub: StandInHub, token: str) -> None:
    reachable, finding = doctor_hub.hub(3)
    assert reachable and finding.found.endswith("3 repositories: reachable; token from HF_TOKEN")
    assert token not in screen([finding])
    hub.plan("whoami", status=401)
    assert "it refuses the token (HF_TOKEN)" in doctor_hub.hub(3)[1].found


def test_without_a_token_the_advice_names_it(hub: StandInHub) -> None:
    reachable, finding = doctor_hub.hub(1)
    assert reachable and "no token" in finding.found and "HF_TOKEN" in finding.advice


@pytest.mark.usefixtures("elsewhere")
def test_a_hub_that_cannot_be_reached_is_reported_at_once(grid: Grid) -> None:
    started = time.monotonic()
    text = screen(doctor_hub.hub_findings(grid))
    assert time.monotonic() - started < 15 and "cannot be reached (ConnectError)" in text and "not asked for" in text


def test_a_hub_that_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch, grid: Grid) -> None:
    silence = threading.Event()

    class Silent(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            silence.wait(30)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setattr(doctor_hub, "SECONDS", 0.2)
    started = time.monotonic()
    reachable, finding = doctor_hub.hub(1)
    silence.set()
    server.shutdown()
    server.server_close()
    assert not reachable and "ReadTimeout" in finding.found and time.monotonic() - started < 5


def test_offline_by_wish_is_not_contacted(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reachable, finding = doctor_hub.hub(1)
    assert not reachable and "HF_HUB_OFFLINE is set" in finding.found and hub.requests == []


def test_gated_and_missing_repositories_are_named_with_their_tasks(hub: StandInHub) -> None:
    for name in ("a/open", "a/gated"):
        hub.repository(name, gated=name == "a/gated").commit({"README.md": "x"})
    wanted = [Wanted(name, "dataset", ("xnli",)) for name in ("a/open", "a/gated", "a/none")]
    finding = doctor_hub.repositories(wanted)
    assert finding.found.startswith("3; ") and "a/open" not in finding.found
    assert "dataset a/gated (xnli): gated, and you have no access" in finding.found
    assert "dataset a/none (xnli): not found, or private" in finding.found
    assert doctor_hub.repositories(wanted[:1]).found == "1, all open to you"


def test_cards_that_nobody_verified_are_named_with_their_note() -> None:
    finding = doctor_hub.cards(load(changed(source="hub", intermediates=["none"], targets=["xnli"], tasks={})))
    assert finding.found == "the hub sections of all selected tasks were verified"
    grid = load(changed(source="hub", intermediates=["none"], targets=["xnli", "mewslix"], tasks={}))
    section = grid.cards["mewslix"].hub
    finding = doctor_hub.cards(grid)
    assert section is not None and finding.found == "never verified on the hub: mewslix"
    assert finding.advice == f"mewslix: {section['note'].strip()}"


def test_the_cache_is_named_where_it_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "not/yet/hub"))
    finding = doctor_hub.cache()
    assert str(tmp_path / "not/yet/hub") in finding.found and "GB free" in finding.found and "HF_HOME" in finding.advice


def test_a_call_that_takes_too_long_is_left() -> None:
    assert doctor_hub.within(0.05, lambda: time.sleep(5), "late") == "late"
    assert doctor_hub.within(5, lambda: 3, "late") == 3


def test_the_fork_server_is_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctor.fork_server("none").found.startswith("works: first job after")
    monkeypatch.setenv("STILTGRID_FORK", "0")
    assert "off (STILTGRID_FORK=0)" in doctor.fork_server().found


def test_a_fork_server_that_dies_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert "does not work" in doctor.fork_server("none").found
