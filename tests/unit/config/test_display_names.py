"""Display names come from cards and models, reach figures alone, and change no job's parameters."""

import pytest
from configurations import GOOD, changed, load, only, with_tasks
from stiltgrid.config.display_names import titles_in
from stiltgrid.grid.display import Display
from stiltgrid.grid.layout import grid_layout, layout_from_params, shown_layout
from stiltgrid.grid.params import as_params

TINY = GOOD["models"]["tiny"]


def test_names_of_cards_and_models() -> None:
    display = load(changed(models={"tiny": {**TINY, "title": "Tiny XLM-R"}})).display
    assert (display.task("xnli"), display.task("anli_plus"), display.task("none")) == ("XNLI", "ANLI+", "none")
    assert (display.metric("lareqa", "map@20"), display.metric("xnli", "accuracy")) == ("mAP@20", "accuracy")
    assert (display.model("tiny"), display.model("other")) == ("Tiny XLM-R", "other")
    assert display.banner and display.footer and not display.cropped


def test_the_configuration_changes_a_card_s_name_and_leaves_out_parts_of_figures() -> None:
    config = with_tasks(xnli={**GOOD["tasks"]["xnli"], "display": {"name": "NLI"}})
    display = load({**config, "figures": {"banner": False}}).display
    assert display.task("xnli") == "NLI" and display.metric("xnli", "f") == "accuracy"
    assert not display.banner and display.footer and display.cropped


def test_a_model_like_another_has_not_its_title() -> None:
    grid = load(changed(models={"tiny": {**TINY, "title": "Tiny"}, "twin": {"like": "tiny"}}))
    assert grid.display.models == {"tiny": "Tiny"}
    assert grid.models["twin"].pretrain == grid.models["tiny"].pretrain
    assert titles_in(None) == {}


def test_a_recipe_has_its_own_title_in_figures_alone() -> None:
    recipes = {"both": {"tasks": ["mnli", "squad_v1"], "sampling": "proportional"}, "again": {"like": "both", "cap": 9}}
    rows = ["none", "both", "again"]
    plain = load(changed(recipes=recipes, intermediates=rows, training={}))
    titled = {**recipes, "both": {**recipes["both"], "title": "MNLI and SQuAD"}}
    named = load(changed(recipes=titled, intermediates=rows, training={}))
    assert (named.display.task("both"), named.display.task("again")) == ("MNLI and SQuAD", "again")
    assert plain.recipes == named.recipes and plain.display.task("both") == "both"


def test_titles_and_names_reach_no_parameters_but_those_of_figures() -> None:
    plain, titled = load(GOOD), load(changed(models={"tiny": {**TINY, "title": "Tiny"}}))
    assert plain.models == titled.models
    assert as_params(grid_layout(plain)) == as_params(grid_layout(titled))
    assert "display" not in as_params(grid_layout(titled))
    shown = shown_layout(titled)
    assert layout_from_params(as_params(shown)) == shown
    assert shown.only("xnli").display.metrics == {"xnli": "accuracy"}
    assert layout_from_params(as_params(grid_layout(plain))).display == Display()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (changed(figures={"baner": False}), "banner"),
        (changed(models={"tiny": {**TINY, "title": 3}}), "models.tiny.title"),
        (with_tasks(xnli={"display": {"label": "NLI"}}), "label"),
        (
            changed(recipes={"{row}+x": {"like": "{row}", "title": "X"}}),
            "recipes.{row}+x.title: a template has no title",
        ),
    ],
)
def test_mistakes_are_named(config: dict, expected: str) -> None:
    assert expected in only(config)
