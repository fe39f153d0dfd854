"""Sizes that cards carry: what they say is used where no data is there, named, and never part of a job."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from architectures import write_folder
from stiltgrid.config.card_loading import card_from
from stiltgrid.config.loading import load_grid
from stiltgrid.config.schema import Schemas
from stiltgrid.config.size_loading import card_sizes, read_sizes
from stiltgrid.data.sources import open_source
from stiltgrid.grid import paths
from stiltgrid.grid.cards import READS, TaskCard, card_view
from stiltgrid.grid.grid import Grid, Model
from stiltgrid.grid.recipes import variant_of
from stiltgrid.preparation.data_sizes import DataSizes, Size
from stiltgrid.preparation.encode import encode_file
from stiltgrid.preparation.models import fetch_model
from stiltgrid.preparation.prepare import prepare_eval, prepare_train
from stiltgrid.utils.strict_yaml import read_yaml

ROOT = Path(__file__).resolve().parents[3]
HUB: Mapping[str, Any] = {
    "source": "hub",
    "models": {"base": {"hub": "FacebookAI/xlm-roberta-base", "revision": "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089"}},
    "intermediates": ["none", "mnli", "anli_plus"], "targets": ["xnli", "udpos", "mlqa", "tydiqa"], "seeds": [1],
    "tasks": {"xnli": {"languages": ["en", "de"]}, "udpos": {"languages": ["en", "de"]}, "mlqa": {"languages": ["de"]}},
    "evaluation": {"examples": None},
}  # fmt: skip


def sizes_of(config: Mapping[str, Any], folder: Path) -> DataSizes:
    """Sizes of a grid of which nothing is there."""
    return DataSizes(load_grid(config, ROOT), folder, None, read_sizes(config, ROOT))


def test_the_cards_of_the_paper_say_how_large_their_data_is(tmp_path):
    """The rows are the hub's published numbers: 392,702; SNLI + MNLI + ANLI; two splits of 2,490 and 5,010 pairs."""
    sizes = sizes_of(HUB, tmp_path)
    mnli, union = sizes.size("base", "mnli", "train"), sizes.size("base", "anli_plus", "train")
    assert mnli == Size(392_702, pytest.approx(392_702 * 48.1), "card")
    assert union is not None and union.examples == 549_367 + 392_702 + (16_946 + 45_460 + 100_459)
    assert union.tokens == pytest.approx(549_367 * 30.4 + 392_702 * 48.1 + 162_865 * 99.0)
    scored = sizes.size("base", "xnli", "eval")
    assert scored is not None and scored.examples == 2 * (2_490 + 5_010)
    assert sizes.size("base", "mlqa", "eval") == Size(512 + 4_517, pytest.approx(332.8 * 5_029), "card")
    # TyDiQA holds 200 of its 3,696 English training questions out.
    held_out, left = sizes.size("base", "tydiqa", "dev"), sizes.size("base", "tydiqa", "train")
    assert held_out is not None and left is not None and (held_out.examples, left.examples) == (200, 3_496)


def test_every_assumed_figure_is_said_once_with_its_source(tmp_path):
    sizes = sizes_of(HUB, tmp_path)
    for _ in range(2):
        for split in ("train", "dev"):
            sizes.size("base", "mnli", split)
            sizes.size("base", "anli_plus", split)
    said = sizes.assumed()
    about_mnli = [line for line in said if line.startswith("mnli: ")]
    assert about_mnli == [
        "mnli: 392,702 train, 19,647 dev rows of 48.1 tokens (its card: rows as the hub's metadata states them; tokens "
        "counted with XLM-R's vocabulary in 2,000 development pairs)"
    ]
    assert {line.partition(":")[0] for line in said} == {"mnli", "snli", "anli"}


def test_languages_without_a_known_size_are_named_and_not_guessed(tmp_path):
    sizes = sizes_of(HUB, tmp_path)
    # German test sentences are not known; the development sets of both languages and the English test set are.
    assert sizes.size("base", "udpos", "eval") == Size(3_974 + 5_440 + 19_233, pytest.approx(31.0 * 28_647), "card")
    assert sizes.left_out == {("udpos", "test"): ["de"]}


def test_fewer_examples_are_scored_where_the_configuration_says_so(tmp_path):
    found = sizes_of({**HUB, "evaluation": {"examples": 100}}, tmp_path).size("base", "xnli", "eval")
    assert found is not None and found.examples == 2 * 2 * 100


def test_the_configurations_own_figures_come_first(tmp_path):
    given = {**HUB, "estimate": {"examples": {"mnli": 50}}}
    sizes = sizes_of(given, tmp_path)
    assert sizes.size("base", "mnli", "train") == Size(50, pytest.approx(50 * 48.1), "given")
    assert sizes.assumed() == [
        "mnli: 50 training examples, as the configuration says, of 48.1 tokens, as its card says (rows as the hub's "
        "metadata states them; tokens counted with XLM-R's vocabulary in 2,000 development pairs)"
    ]


def test_a_card_whose_rows_come_from_elsewhere_says_nothing(tmp_path):
    """Its published size does not hold for other files, unless the configuration says theirs."""
    elsewhere = {"hub": {"splits": {"train": "train[:100]"}}}
    config = {**HUB, "tasks": {**HUB["tasks"], "mnli": elsewhere}}
    assert sizes_of(config, tmp_path).size("base", "mnli", "train") is None
    assert (
        "anli_plus" not in read_sizes(config, ROOT)
        and sizes_of(config, tmp_path).size("base", "anli_plus", "train") is None
    )
    own = {**elsewhere, "sizes": {"train": 100, "tokens": 20, "source": "counted"}}
    again = sizes_of({**HUB, "tasks": {**HUB["tasks"], "mnli": own}}, tmp_path)
    assert again.size("base", "mnli", "train") == Size(100, 2000.0, "card")


def test_translations_are_as_many_as_what_they_translate(tmp_path):
    recipes = {"both": {"tasks": ["mnli"], "languages": ["de", "en"], "data": "translate_train"}}
    config = {**HUB, "recipes": recipes, "intermediates": ["none", "both"]}
    folder = variant_of(load_grid(config, ROOT), "both", "mnli").name
    found = sizes_of(config, tmp_path).size("base", folder, "train")
    assert found is not None and found.examples == 2 * 392_702


def test_the_mini_lab_is_not_of_the_published_size(tmp_path):
    config = {**read_yaml(ROOT / "config.yaml"), "studies": {}}
    grid = load_grid(config, ROOT)
    assert DataSizes(grid, tmp_path, None, read_sizes(config, ROOT)).size("mini", "mnli", "train") is None


def test_sizes_stay_out_of_everything_that_a_job_depends_on():
    """Adding or correcting a size reruns nothing: neither the card nor a view of it has the figure."""
    assert "sizes" not in {item.name for item in fields(TaskCard)}
    content = read_yaml(ROOT / "tasks/mnli.yaml")
    other = {**content, "sizes": {"train": 7, "tokens": 3, "source": "a correction"}}
    without = {key: value for key, value in content.items() if key != "sizes"}
    cards = [card_from("mnli", each) for each in (content, other, without)]
    assert cards[0] == cards[1] == cards[2]
    for stage in READS:
        views = [json.dumps(card_view(card, stage, "hub"), sort_keys=True) for card in cards]
        assert views[0] == views[1] == views[2]


def test_shipped_sizes_are_valid_and_say_where_they_are_from():
    schemas = Schemas(ROOT / "schemas")
    found = {}
    for path in sorted((ROOT / "tasks").glob("*.yaml")):
        content = read_yaml(path)
        assert not schemas.errors("card.schema.yaml", content)
        if "sizes" in content:
            found[path.stem] = card_sizes(path.stem, content["sizes"])
            card = card_from(path.stem, content)
            for split, rows in found[path.stem].rows.items():
                assert split in card.splits("hub") or split in card.rows, f"{path.stem} has no {split}"
                assert not isinstance(rows, Mapping) or set(rows) <= set(card.languages), path.stem
    # Sizes of CCGbank and Mewsli-X were not read in any source.
    assert {"mnli", "squad_v1", "xnli", "udpos", "tatoeba"} <= found.keys() and not {"ccg", "mewslix"} & found.keys()


def test_a_size_without_a_source_or_a_length_is_refused():
    content = read_yaml(ROOT / "tasks/mnli.yaml")
    for wrong in ({"train": 5}, {"train": 5, "tokens": 3}, {"train": "five", "tokens": 3, "source": "x"}):
        assert Schemas(ROOT / "schemas").errors("card.schema.yaml", {**content, "sizes": wrong})


def test_rows_of_the_source_are_cut_by_the_models_own_tokenizer(tmp_path):
    """Before anything is fetched, rows are tokenized: the same tokens as the jobs that prepare and encode count."""
    folder = tmp_path / "model"
    write_folder("xlm-roberta", folder)
    model: dict[str, Any] = {"path": str(folder)}
    config: dict[str, Any] = {
        "source": "local", "data_dir": "tests/data/mirror", "models": {"tiny": model},
        "intermediates": ["none", "mnli"], "targets": ["xnli", "xquad", "udpos", "tatoeba", "lareqa"], "seeds": [1],
        "evaluation": {"examples": 3},
        "tasks": {**dict.fromkeys(("xnli", "xquad", "udpos", "lareqa"), {"languages": ["en", "de"]}),
                  "tatoeba": {"languages": ["de"]}},
    }  # fmt: skip
    grid, source = load_grid(config, ROOT), open_source("local", str(ROOT / "tests/data/mirror"))
    fetch_model(Model("tiny", **model), tmp_path / "results/models/tiny")
    cold = DataSizes(grid, tmp_path / "none", source, {}, {"tiny": folder})
    exact = DataSizes(grid, tmp_path / "results", None)
    for task in ("mnli", "lareqa"):
        prepared = tmp_path / "results/data" / task
        card = grid.cards[task]
        prepare_train(card, grid.cards, ["en"], source, prepared / "train.parquet", prepared / "dev.parquet")
        encode(grid, card, tmp_path / "results", "train")
    for task in config["targets"]:
        card, path = grid.cards[task], tmp_path / "results/data" / task / "eval.parquet"
        splits = grid.eval_splits(task)
        prepare_eval(card, grid.cards, grid.languages(task), splits, source, grid.evaluation_for(task), path)
        encode(grid, card, tmp_path / "results", "eval")
    for name, split in [("mnli", "train"), ("lareqa", "train"), *((task, "eval") for task in config["targets"])]:
        found, counted = cold.size("tiny", name, split), exact.size("tiny", name, split)
        assert found is not None and counted is not None and (found.known, counted.known) == ("source", "encoded")
        assert found.examples == counted.examples
        # Few rows: the sample holds all of them. Where three of four are drawn, the sample has the fourth too.
        assert found.tokens == pytest.approx(counted.tokens, rel=0.0 if split == "train" else 0.15), (name, split)
    assert cold.assumed() == []


def encode(grid: Grid, card: TaskCard, results: Path, split: str) -> None:
    """Encode prepared rows as the jobs do."""
    rows = results / "data" / card.name / f"{split}.parquet"
    out = results / "encoded/tiny" / card.name / f"{split}.arrow"
    length = paths.sequence_length(grid, grid.models["tiny"], card.name)
    encode_file(card, rows, results / "models/tiny/tokenizer", out, length, training=split != "eval")
