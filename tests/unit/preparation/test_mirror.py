"""The whole catalogue through the hub and through a mirror filled from it: the same rows both ways."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hub_of_fixtures import Files, commits_of, serve
from prepared import provenance
from stand_in_hub import StandInHub
from stiltgrid.data.sources.base import Source
from stiltgrid.data.sources.client import HubClient
from stiltgrid.data.sources.hub import HubSource
from stiltgrid.data.sources.local import LocalSource
from stiltgrid.grid.cards import SPLITS, TaskCard
from stiltgrid.grid.grid import Evaluation, Grid, Model
from stiltgrid.grid.params import from_params
from stiltgrid.preparation.mirror import mirror, needs
from stiltgrid.preparation.models import fetch_model
from stiltgrid.preparation.prepare import prepare_eval, prepare_train
from stiltgrid.utils.errors import SourceError

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "data" / "mirror"
LANGUAGES = ("de", "en", "hi", "qu", "sw", "zh")
OWN = ("ccg", "belebele_train")  # not on the hub
NEW = ("belebele", "sib200", "afrixnli", "americasnli", "indicxnli", "masakhaner2", "flores", "include44")
TARGETS = (
    "xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba", "xcopa", "lareqa", "mewslix",
    *NEW,
)  # fmt: skip


def catalogue() -> dict[str, TaskCard]:
    """Every card, narrowed to the languages and splits that the fixtures have."""
    source, cards = LocalSource(FIXTURES), {}
    for path in sorted((ROOT / "tasks").glob("*.yaml")):
        card = from_params(TaskCard, {"name": path.stem, **yaml.safe_load(path.read_text(encoding="utf-8"))})
        card = replace(card, dev_from_train=card.dev_from_train and 3)  # the fixtures are small
        there = [code for code in card.languages if any(source.has(card, split, code) for split in SPLITS)]
        if card.hub is not None:
            present = [split for split in card.hub["splits"] if any(source.has(card, split, code) for code in there)]
            card = replace(card, hub={**card.hub, "splits": {split: card.hub["splits"][split] for split in present}})
        cards[path.stem] = replace(card, languages=tuple(code for code in there if code in LANGUAGES))
    return cards


CARDS = catalogue()
Commits = dict[tuple[str, str], Files]
TRAINED = tuple(name for name, card in CARDS.items() if name not in OWN and name in card.train)


@pytest.fixture(scope="module")
def commits() -> Commits:
    return commits_of(CARDS, FIXTURES)


def grid(**changes: Any) -> Grid:
    values: dict[str, Any] = {
        "source": "hub", "data_dir": None, "world": {}, "models": {}, "intermediates": ("none", *TRAINED),
        "targets": TARGETS, "seeds": (1,), "recipes": {}, "cards": CARDS, "training": {}, "evaluation": {},
    }  # fmt: skip
    return Grid(**{**values, **changes})


def prepared(source: Source, out: Path) -> dict[str, list[dict[str, Any]]]:
    """Canonical rows of every task that is trained and every target, by file name."""
    found = {}
    for name in TRAINED:
        files = (out / f"{name}.train.parquet", out / f"{name}.dev.parquet")
        prepare_train(CARDS[name], CARDS, CARDS[name].train_languages, source, *files)
        found |= {path.stem: pq.read_table(path).to_pylist() for path in files}
    for name in TARGETS:
        path = out / f"{name}.eval.parquet"
        card = CARDS[name]
        prepare_eval(card, CARDS, card.languages, card.scored_splits("hub"), source, Evaluation(), path)
        found[path.stem] = pq.read_table(path).to_pylist()
    return found


def hub_source() -> HubSource:
    return HubSource(client=HubClient(pause=0.01))


def test_the_catalogue_is_read_alike_from_the_hub_and_from_its_mirror(
    hub: StandInHub, commits: Commits, tmp_path: Path
) -> None:
    serve(hub, commits)
    direct = prepared(hub_source(), tmp_path / "direct")
    mirror(grid(), tmp_path / "mirror", HubClient(0.01))
    copied = prepared(LocalSource(tmp_path / "mirror"), tmp_path / "copied")
    assert set(direct) == set(copied)
    for name in direct:
        assert direct[name] == copied[name], name
    assert {"xnli.eval", "squad_v1.train", "lareqa.eval", "mewslix.eval", "udpos.eval", "tydiqa.eval"} <= set(direct)


def test_the_hub_gives_what_the_fixtures_hold(hub: StandInHub, commits: Commits, tmp_path: Path) -> None:
    """Labels reversed on the hub come out right: they are mapped by name."""
    serve(hub, commits)
    for name in ("xnli", "udpos", "xcopa", "hellaswag", "pawsx", "commonsense_qa", *NEW):
        card = CARDS[name]
        files = {}
        for source in (hub_source(), LocalSource(FIXTURES)):
            path = tmp_path / f"{name}.{source.kind}.parquet"
            prepare_eval(card, CARDS, card.languages, card.scored_splits("hub"), source, Evaluation(), path)
            files[source.kind] = pq.read_table(path).to_pylist()
        assert files["hub"] == files["local"], name
        assert all(commit for commit in provenance(tmp_path / f"{name}.hub.parquet")["provenance"]["commits"].values())


def test_a_mirror_goes_on_where_it_stopped(hub: StandInHub, commits: Commits, tmp_path: Path) -> None:
    serve(hub, commits)
    some = grid(intermediates=("none",), targets=("xnli",))
    client = HubClient(0.01)
    mirror(some, tmp_path, client)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jsonl.gz")}
    assert {path.name for path in written} >= {"test.de.jsonl.gz", "train.en.jsonl.gz"}
    lost = tmp_path / "xnli" / "test.de.jsonl.gz"
    before = lost.read_bytes()
    lost.unlink()
    mirror(some, tmp_path, HubClient(0.01))
    assert lost.read_bytes() == before
    assert all(path.stat().st_mtime_ns == time for path, time in written.items() if path != lost)
    record = json.loads((tmp_path / "mirror.json").read_text())["rows"]["xnli/test.de.jsonl.gz"]
    assert record["commit"] == client.repository(record["repository"], record["revision"]).commit
    assert record["count"] == 12
    source = LocalSource(tmp_path)
    list(source.read(CARDS["xnli"], "test", "de"))
    assert source.provenance()["files"]["xnli/test.de.jsonl.gz"]["commit"] == record["commit"]


def test_a_new_commit_is_mirrored_anew(hub: StandInHub, commits: Commits, tmp_path: Path) -> None:
    some = grid(intermediates=("none",), targets=("tatoeba",))
    for _ in range(2):
        hub.reset()
        serve(hub, commits)
        mirror(some, tmp_path, HubClient(0.01))
        commit = hub.repositories["dataset", "google/xtreme"].refs[CARDS["tatoeba"].hub["revision"]]
        assert (
            json.loads((tmp_path / "mirror.json").read_text())["rows"]["tatoeba/validation.de.jsonl.gz"]["commit"]
            == commit
        )


def test_only_what_the_grid_reads_is_fetched() -> None:
    some = grid(intermediates=("none",), targets=("xcopa",))
    wanted = {(need.card.name, need.split, need.language, need.training) for need in needs(some)}
    assert ("social_i_qa", "train", "en", True) in wanted
    assert ("copa", "dev", "en", True) in wanted
    assert ("xcopa", "test", "sw", False) in wanted
    assert {name for name, *_ in wanted} == {"social_i_qa", "copa", "xcopa"}


def test_licensed_data_are_named_and_left_to_the_user(
    hub: StandInHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror(grid(intermediates=("none", "ccg"), targets=()), tmp_path, HubClient(0.01))
    assert "ccg is not on the hub. CCGbank is licensed" in caplog.text
    assert not list(tmp_path.rglob("*.jsonl.gz"))


def test_models_are_mirrored_and_found_again(hub: StandInHub, tmp_path: Path) -> None:
    files = {"config.json": "{}", "model.safetensors": b"weights", "tokenizer.json": "{}", "README.md": "made"}
    repository = hub.repository("made/tiny", "model")
    commit = repository.commit({**files, "pytorch_model.bin": b"pickle"})
    model = Model("tiny", hub="made/tiny", revision=commit)
    mirror(grid(intermediates=("none",), targets=(), models={"tiny": model}), tmp_path, HubClient(0.01))
    folder = tmp_path / "models" / "made--tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    hub.reset()
    with pytest.raises(SourceError, match="model 'tiny': .*made--tiny/config.json: model_type"):
        fetch_model(model, tmp_path / "out", tmp_path)  # found without the hub; these files are no model
    with pytest.raises(SourceError, match="expected revision 'other' of made/tiny, found '.*' .*in the mirror"):
        fetch_model(replace(model, revision="other"), tmp_path / "out", tmp_path)
