"""Plans of studies are added to the grid: rows named after their content, beside the grid's own cells."""

import re
from typing import Any

import pytest
import yaml
from configurations import PRETRAIN, ROOT, changed, load, problems
from stiltgrid.config.data_checks import data_problems
from stiltgrid.grid import paths
from stiltgrid.grid.designs.retrieval import groups
from stiltgrid.grid.grid import Grid, mixture, mixture_name, mixture_pattern
from stiltgrid.grid.recipes import target_settings
from stiltgrid.studies.similarity_files import vectors

SECTION: dict[str, Any] = {
    "tasks": ["mnli", "qqp", "squad_v1", "ccg"],
    "counts": [1, 2],
    "examples": [100, 400],
    "draws": 2,
    "targets": ["xnli", "xquad"],
}


def with_study(**changes: Any) -> dict[str, Any]:
    return changed(studies={"diversity": {**SECTION, **changes}})


pytestmark = pytest.mark.usefixtures("at_the_root")


def test_a_mixture_is_named_by_what_it_holds() -> None:
    name = mixture_name(["squad_v1", "mnli"], 2000)
    assert name == "mix_v2000_mnli__squad_v1"
    recipe = mixture(name)
    assert recipe and recipe.tasks == ("mnli", "squad_v1")
    assert (recipe.examples, recipe.sampling, recipe.name) == (2000, "uniform", name)
    assert mixture(mixture_name(["qqp"])).examples is None  # type: ignore[union-attr]
    assert mixture("multi_task") is None


def test_the_pattern_matches_mixtures_of_its_tasks_only() -> None:
    pattern = re.compile(mixture_pattern(["mnli", "squad_v1"]))
    assert pattern.fullmatch("mix_v2000_mnli__squad_v1") and pattern.fullmatch("mix_squad_v1")
    assert not any(pattern.fullmatch(name) for name in ("mnli", "mix_qqp", "mix_v0_mnli", "mix_v5_mnli__qqp"))


def test_a_study_adds_rows_beside_the_grid_s_own_cells() -> None:
    plain, grid = load(changed()), load(with_study())
    assert paths.cells(grid) == paths.cells(plain)
    rows = grid.plans["diversity"].intermediates
    assert len(rows) == (2 + 2) * 2
    assert all(re.fullmatch(paths.trained_rows(grid), row) for row in rows)
    view = grid.view("diversity")
    assert {cell.target for cell in paths.cells(view)} == {"xnli", "xquad"}
    assert len(paths.cells(view)) == len(rows) * 2 * 2  # targets, seeds
    assert view.recipe(rows[0]).examples == 100


def test_the_same_sets_are_drawn_each_time_and_for_each_volume() -> None:
    first, second = (load(with_study()).plans["diversity"].intermediates for _ in range(2))
    assert first == second
    sets = {volume: {row.partition(f"v{volume}_")[2] for row in first} - {""} for volume in (100, 400)}
    assert sets[100] == sets[400] and len(sets[100]) == 4
    other = load(with_study(draw_seed=5, draws=3)).plans["diversity"].intermediates
    assert set(other) != set(first)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ["mnli", "qpp"]}, "studies.diversity.tasks: no such task 'qpp', did you mean 'qqp'?"),
        ({"targets": ["xnly"]}, "studies.diversity.targets: no such task 'xnly', did you mean 'xnli'?"),
        ({"models": ["tony"]}, "studies.diversity.models: no such model 'tony', did you mean 'tiny'?"),
        ({"counts": [2, 5]}, "studies.diversity.counts: a set of 5 cannot be drawn from 4 tasks"),
        ({"seeds": [1]}, "studies.diversity.seeds: expected two at least, found 1; one shows no variance"),
        ({"targets": ["xnli"]}, "studies.diversity.targets: expected two at least, found xnli"),
        ({"draws": 1}, "studies.diversity.draws: expected two sets"),
        ({"examples": [1, 400]}, "studies.diversity.examples: 1 cannot be shared by 2 tasks"),
        ({"examples": [400]}, "studies.diversity.examples: expected at least 2, found 1"),
        ({"volumes": [1]}, "studies.diversity: unknown key 'volumes'"),
    ],
)
def test_a_wrong_section_is_refused(changes: dict[str, Any], said: str) -> None:
    """When the study is requested; the grid itself can run."""
    grid = load(with_study(**changes))
    assert any(problem.startswith(said) for problem in grid.study_problems["diversity"]), grid.study_problems
    assert not grid.plans and paths.cells(grid) == paths.cells(load(changed()))


def test_an_unknown_study_is_refused() -> None:
    found = problems(changed(studies={"diversty": SECTION}))
    assert any("unknown key 'diversty', did you mean 'diversity'?" in problem for problem in found)


def test_a_recipe_may_not_take_a_mixtures_name() -> None:
    found = problems(changed(recipes={"mix_v100_mnli": {"tasks": ["qqp"]}}))
    said = "studies use names of this form for their mixtures; give it another name"
    assert found == (f"config: recipes.mix_v100_mnli: {said}",)


def test_data_that_only_a_study_needs_is_reported_for_that_study_only() -> None:
    config = with_study(targets=["xnli", "pawsx"])
    config["tasks"]["pawsx"] = {"languages": ["en"], "local": {"folder": "nowhere", "splits": {"test": "test"}}}
    grid = load(config)
    assert data_problems(grid, ROOT) == []
    assert any("pawsx" in problem for problem in data_problems(grid.view("diversity"), ROOT))


def test_a_study_changes_no_settings_of_the_grid() -> None:
    def settings(grid: Grid) -> list[Any]:
        return [grid.training_for("intermediate", name) for name in grid.intermediates]

    assert settings(load(with_study())) == settings(load(changed()))


def test_rows_with_limited_target_data_share_the_checkpoint_of_the_row_itself() -> None:
    plain, grid = load(with_study()), load(with_study(target_examples=40))
    first, row = plain.plans["diversity"].intermediates[0], grid.plans["diversity"].intermediates[0]
    assert row == f"{first}@40" and grid.recipe(row) == plain.recipe(first)
    assert paths.intermediate_folder("tiny", row, 1) == paths.intermediate_folder("tiny", first, 1)
    tuned = [paths.scored_folder(grid, "tiny", name, "xnli", 1) for name in (first, row)]
    assert len(set(tuned)) == 2
    # The intermediate stage knows the row alone, target trainings and scores both.
    assert not re.fullmatch(paths.trained_rows(grid), row) and re.fullmatch(paths.trained_rows(grid), first)
    assert all(re.fullmatch(paths.trained_rows(grid, untrained=True), name) for name in (first, row, "none"))
    assert not re.fullmatch(paths.trained_rows(plain, untrained=True), row)
    assert grid.all_intermediates == plain.all_intermediates
    # Fewer stay fewer, and the grid's own cells have all of their data.
    assert [target_settings(grid, name, "mnli").examples for name in (row, first, "none")] == [40, None, None]
    few = load({**with_study(target_examples=40), "training": {"target": {"examples": 30}}})
    assert target_settings(few, row, "mnli").examples == 30
    assert paths.cells(grid) == paths.cells(load(changed()))


RETRIEVAL: dict[str, Any] = {"english": ["squad_v1"], "controls": ["mnli"], "examples": 60, "targets": ["tatoeba"]}


def with_retrieval(**changes: Any) -> dict[str, Any]:
    return changed(studies={"retrieval": {**RETRIEVAL, **changes}})


def test_a_task_of_several_languages_becomes_a_row_of_all_of_them() -> None:
    plain, plan = load(with_retrieval()), load(with_retrieval(multilingual=["tydiqa"])).plans["retrieval"]
    assert not plain.plans["retrieval"].recipes
    recipe = plan.recipes["all_languages_v60_tydiqa"]
    rows = ("none", "mix_v60_squad_v1", "all_languages_v60_tydiqa", "mix_v60_mnli")
    assert plan.intermediates == (*rows, "mix_v60_tydiqa")  # the last is the same task in English, of the same size
    assert (recipe.tasks, recipe.examples) == (("tydiqa",), 60)
    assert recipe.languages == {"tydiqa": ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")}


def test_a_multilingual_recipe_is_compared_with_the_row_that_the_section_names() -> None:
    section = {**RETRIEVAL, "multilingual": ["tydiqa", "many"], "matched": {"many": "squad_v1"}}
    recipe = {"tasks": ["tydiqa"], "languages": {"tydiqa": ["fi", "ru"]}}
    found = groups(section, load(changed(studies={"retrieval": section}, recipes={"many": recipe})))
    assert found["matched_english"] == ("mix_v60_tydiqa", "mix_v60_squad_v1")
    assert found["matched_multilingual"] == ("all_languages_v60_tydiqa", "many")
    assert "matched: no such row of `multilingual` 'manny'" in study_problem(with_retrieval(matched={"manny": "mnli"}))


def test_translations_become_a_mixed_row_and_one_of_each_language() -> None:
    section = {**RETRIEVAL, "translated": {"squad_v1": ["de", "zh"]}}
    grid = load(changed(studies={"retrieval": section}))
    found = groups(section, grid)
    mixed, single = "translated_en-de-zh_v60_squad_v1", ("translated_de_v60_squad_v1", "translated_zh_v60_squad_v1")
    assert found["multilingual"] == found["matched_multilingual"] == (mixed,)
    assert found["single"] == found["matched_single"] == single
    # Each is compared with as many English examples, in a row that the study has anyway.
    assert found["matched_english"] == ("mix_v60_squad_v1",)
    assert found["matched_single_english"] == ("mix_v60_squad_v1",) * 2
    recipe = grid.plans["retrieval"].recipes[mixed]
    assert (recipe.tasks, recipe.examples, recipe.data) == (("squad_v1",), 60, {"squad_v1": "translate_train"})
    assert recipe.languages == {"squad_v1": ("en", "de", "zh")}
    assert set(grid.plans["retrieval"].intermediates) >= {mixed, *single}


def test_translations_that_cannot_be_asked_for_are_refused() -> None:
    assert "translated: no such task 'squad'" in study_problem(with_retrieval(translated={"squad": ["de"]}))
    said = "translated.squad_v1: expected languages other than en"
    assert said in study_problem(with_retrieval(translated={"squad_v1": ["en", "de"]}))


def test_a_task_of_one_language_is_not_a_multilingual_row() -> None:
    said = "studies.retrieval.multilingual: 'mnli' has training rows in one language"
    assert study_problem(with_retrieval(multilingual=["mnli"])).startswith(said)
    assert "no such task or recipe 'tydica'" in study_problem(with_retrieval(multilingual=["tydica"]))


def study_problem(config: dict[str, Any]) -> str:
    """The one problem of the only study of a configuration."""
    grid = load(config)
    ((found,),) = grid.study_problems.values()
    assert not grid.plans
    return found


def with_twin(twin: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return changed(studies={"architecture": {"own_models": {"twin": twin}, **changes}})


def test_a_study_brings_a_model_that_the_grid_does_not_have() -> None:
    causal = {"like": "tiny", "pretrain": {"objective": "causal", "architecture": {"is_decoder": True}}}
    grid = load(with_twin(causal))
    assert grid.own_models == ("tiny",) and set(grid.view("architecture").models) == {"tiny", "twin"}
    pretrain = grid.models["twin"].pretrain
    assert pretrain and pretrain["objective"] == "causal" and pretrain["steps"] == grid.models["tiny"].pretrain["steps"]  # type: ignore[index]
    assert {cell.model for cell in paths.cells(grid)} == {"tiny"}


def test_a_sentence_encoder_embeds_and_is_no_model_of_the_grid() -> None:
    encoder = {"hub": "sentence-transformers/LaBSE", "revision": "0" * 40, "retrieval_pooling": "cls"}
    section = {"encoder": "labse", "own_models": {"labse": encoder}}
    view = load(changed(studies={"similarity": section})).view("similarity")
    assert set(view.models) == {"tiny"} and {cell.model for cell in paths.cells(view)} == {"tiny"}
    files = vectors(view, section, "embeddings")["tiny"]
    assert files["sentence"]["rows"]["mnli"] == "embeddings/labse/sentence/mnli/train.safetensors"
    assert files["text"]["rows"]["mnli"].startswith("embeddings/tiny/")
    unused = changed(studies={"similarity": {"own_models": {"labse": encoder}}})
    assert "own_models.labse: nothing uses it" in study_problem(unused)
    typo = changed(studies={"similarity": {**section, "encoder": "lapse"}})
    assert "encoder: no such model 'lapse', did you mean 'labse'?" in load(typo).study_problems["similarity"][0]
    wrong = {**section, "own_models": {"labse": {"pretrain": {**PRETRAIN, "short_length": 48}}}}
    assert "models.labse: pretrain." in study_problem(changed(studies={"similarity": wrong}))


def test_an_invalid_model_of_a_study_is_refused() -> None:
    said = "studies.architecture.own_models.twin.like: 'tony' is no model, did you mean 'tiny'?"
    assert said == study_problem(with_twin({"like": "tony"}))
    wrong = {"like": "tiny", "pretrain": {"short_length": 48}}
    assert "models.twin: pretrain." in study_problem(with_twin(wrong))
    clash = changed(studies={"architecture": {"own_models": {"tiny": {"pretrain": PRETRAIN, "pooling": "mean"}}}})
    assert "`models` has another model of this name" in study_problem(clash)


def test_a_study_that_asks_for_what_the_targets_lack_does_not_refuse_the_grid() -> None:
    """The default configuration has five studies; a grid of other targets runs all the same."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    grid = load({**config, "targets": ["xnli", "udpos"], "seeds": [1, 2, 3]})
    assert set(grid.plans) == {"similarity", "architecture", "diversity", "how_many"}
    assert "the grid has no retrieval task" in grid.study_problems["retrieval"][0]
    one = load({**config, "studies": {"architecture": 3, "similarity": {}}})
    assert one.study_problems == {"architecture": ("studies.architecture: expected a mapping, found 3",)}
    assert list(one.plans) == ["similarity"]


def test_a_wrong_grid_is_refused_although_it_has_studies() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert problems({**config, "targets": ["XNLI"]}) == ("config: targets: no such task 'XNLI', did you mean 'xnli'?",)
