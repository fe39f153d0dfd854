"""How many jobs of each rule every experiment of the repository takes, worked out by hand.

What is counted in the comments: rows of the grid that train (all but `none`), tuned models a row (targets that train
on the same task share one, retrieval has none), tasks with training data (of rows and of targets, each once).
"""

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from configurations import write_encoder
from repository import FIRST, ROOT
from snakemake.utils import update_config
from stiltgrid.config import loading
from stiltgrid.data.sources.local import LocalSource
from stiltgrid.grid.designs import how_many
from stiltgrid.grid.target_caps import uncapped
from stiltgrid.utils.strict_yaml import read_yaml
from stiltgrid.workflow.dry_run import planned_jobs

SETTINGS = {"phang2020": {"data_dir": str(ROOT / "tests/data/mirror")}}  # holds a stand-in for CCGbank
# What an overlay is for, where that is not config.yaml.
BENEATH = {"local_recipes": ["local_mirror"], "real_encoder": ["local_mirror"], "backbones": ["xtreme_r"]}
PRETRAINED = Counter(prepare_text=1, train_tokenizer=1, pretrain_backbone=1)
# Models times what each takes; data is prepared once for all.
EXPECTED = {
    # 11 rows, 10 of them trained; 12 targets with 9 tuned models a row: MNLI (XNLI), PAWS-X, POS, NER, SQuAD 1.1
    # (XQuAD, MLQA), TyDiQA, SIQa then COPA (XCOPA), LAReQA, Mewsli-X. Training data: nine intermediate tasks, and
    # PAWS-X, POS, NER, TyDiQA, SIQa, COPA, LAReQA, Mewsli-X.
    "config": PRETRAINED + Counter(
        prepare_train=9 + 8, prepare_eval=12, encode_train=9 + 8, encode_eval=12, train_intermediate=10,
        train_target=11 * 9, score_target=11 * 12, plot_languages=12,
    ),
    # The same with two models.
    "architectures": Counter(
        prepare_text=2, train_tokenizer=2, pretrain_backbone=2, prepare_train=9 + 8, prepare_eval=12,
        encode_train=2 * (9 + 8), encode_eval=2 * 12, train_intermediate=2 * 10, train_target=2 * 11 * 9,
        score_target=2 * 11 * 12, plot_languages=12,
    ),
    # 10 rows, 9 of them trained; 11 targets with 8 tuned models: ANLI+ (XNLI), PAWS-X, POS, NER, SQuAD 1.1, TyDiQA,
    # SIQa then COPA, LAReQA. Training data: nine intermediate tasks (SIQa is one), PAWS-X, POS, NER, TyDiQA, COPA,
    # LAReQA.
    "local_mirror": PRETRAINED + Counter(
        prepare_train=9 + 6, prepare_eval=11, encode_train=9 + 6, encode_eval=11, train_intermediate=9,
        train_target=10 * 8, score_target=10 * 11, plot_languages=11,
    ),
    # 11 rows, 10 of them trained; 10 targets with the same 8 tuned models, and the same tasks with training data. The
    # model is a folder.
    "real_encoder": Counter(
        fetch_model=1, prepare_train=9 + 6, prepare_eval=10, encode_train=9 + 6, encode_eval=10, train_intermediate=10,
        train_target=11 * 8, score_target=11 * 10, plot_languages=10,
    ),
    # 18 rows, 17 of them trained and MNLI, with which the chains begin; 2 targets, one of them tuned. Training data:
    # SQuAD, MNLI, QQP, TyDiQA, COPA; TyDiQA in three languages, MNLI in three and four. Texts of the model and two of
    # recipes. Budgets: `few`, `each`, and `longer`, which ends with `few`; `repeated` needs no count.
    "local_recipes": PRETRAINED + Counter(
        prepare_text=2, encode_text=2, prepare_train=5, prepare_variant=3, prepare_eval=2, encode_train=5 + 3,
        encode_eval=2, count_examples=3, train_intermediate=17 + 1, train_target=18, score_target=2 * 18,
        plot_languages=2,
    ),
    # 23 rows, 22 of them trained: nine tasks, all of them together, nine with language modelling beside them (one text
    # and the checkpoint's head for all), MNLI in three languages; 9 targets, 6 tuned models: MNLI, PAWS-X, POS, NER,
    # SQuAD 1.1, TyDiQA. Training data: nine intermediate tasks, PAWS-X, POS, NER, TyDiQA, MNLI three times translated.
    "phang2020": Counter(
        fetch_model=1, fetch_language_head=1, prepare_text=1, encode_text=1, prepare_train=9 + 4, prepare_variant=3,
        prepare_eval=9, encode_train=9 + 4 + 3, encode_eval=9, train_intermediate=22, train_target=23 * 6,
        score_target=23 * 9, plot_languages=9,
    ),
    # 4 rows, 3 of them trained; 10 targets with 8 tuned models: MNLI, SIQa then COPA, POS, NER, SQuAD 1.1, TyDiQA,
    # Mewsli-X, LAReQA. Training data: MNLI, SQuAD 1.1, HellaSwag, SIQa, COPA, POS, NER, TyDiQA, Mewsli-X, LAReQA.
    # The same with twelve models, two of which have pickled weights.
    "backbones": Counter(
        convert_weights=2, fetch_model=12, prepare_train=10, prepare_eval=10, encode_train=12 * 10,
        encode_eval=12 * 10, train_intermediate=12 * 3, train_target=12 * 4 * 8, score_target=12 * 4 * 10,
        plot_languages=10,
    ),
    # The same rows; 8 targets with 5 tuned models: SIB-200, MNLI (three targets), NER, Cosmos QA, CommonsenseQA.
    # Training data: these five, SQuAD 1.1, HellaSwag.
    "low_resource": Counter(
        fetch_model=1, prepare_train=7, prepare_eval=8, encode_train=7, encode_eval=8, train_intermediate=3,
        train_target=4 * 5, score_target=4 * 8, plot_languages=8,
    ),
    "xtreme_r": Counter(
        fetch_model=1, prepare_train=10, prepare_eval=10, encode_train=10, encode_eval=10, train_intermediate=3,
        train_target=4 * 8, score_target=4 * 10, plot_languages=10,
    ),
}  # fmt: skip
# Laid over the default grid: the studies' own cells are made when a study is asked for, not with `all`.
EXPECTED["studies"] = EXPECTED["config"]
EXPECTED["mini"] = EXPECTED["config"]


def stand_in_mirror(preset: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty files where the preset's cards expect files: planning jobs opens none."""
    monkeypatch.setattr(loading, "data_problems", lambda grid, root: [])
    folder.mkdir()
    grid = loading.load_grid({**read_yaml(preset), "data_dir": str(folder)}, ROOT)
    source = LocalSource(folder)
    languages = {code for model in grid.models.values() for code in (model.pretrain or {}).get("languages", ())}
    stems = [f"text/{code}.txt" for code in languages]
    for card in grid.cards.values():
        for split in ("train", "dev", "test"):
            codes = {*card.languages, *card.train_languages}
            parts: Iterable[str | None] = source.parts(card, split) or (None,)
            names = [name.stem for part in parts for name in source.names(card, split, part)]
            stems += [f"{stem}.{code}.jsonl" for stem in names for code in codes]
    for stem in stems:
        (folder / stem).parent.mkdir(parents=True, exist_ok=True)
        (folder / stem).touch()


STUDY_RULES = ("study_similarity", "study_architecture", "study_retrieval", "study_diversity", "study_how_many")


def study_jobs(*presets: str) -> Counter[str]:
    """Jobs of `snakemake studies` with some presets over the default configuration."""
    files = [str(ROOT / f"presets/{name}.yaml") for name in presets]
    return Counter(job.rule for job in planned_jobs(ROOT / "Snakefile", files, {}, ["studies"]))


@pytest.mark.parametrize("presets", [(), ("xtreme_r", "studies")], ids=["minilab", "real"])
def test_every_study_is_planned(presets: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of all studies, each trained once a model and seed, however many studies read it.

    The best tasks' mixtures of study 4 follow from its ranking, so no plan has them.
    """
    paths = [*(ROOT / f"presets/{name}.yaml" for name in presets), ROOT / "config.yaml"]
    merged = read_yaml(paths[-1])
    for path in paths[:-1]:
        update_config(merged, read_yaml(path))
    monkeypatch.chdir(tmp_path)
    jobs = study_jobs(*presets)
    assert [jobs[name] for name in STUDY_RULES] == [1] * 5
    grid = loading.load_grid(merged, ROOT, paths)
    rows = {
        (model, row, seed)
        for plan in grid.plans.values()
        for model in plan.models
        for row in map(uncapped, (*plan.intermediates, *plan.trained))
        for seed in plan.seeds
        if row != "none"
    }
    assert jobs["train_intermediate"] == len(rows)
    # Beside the models that train rows, the real studies have a sentence encoder that only embeds.
    models = {model for model, _, _ in rows} | {name for plan in grid.plans.values() for name in plan.own_models}
    assert jobs["fetch_model"] + jobs["pretrain_backbone"] == len(models) == (5 if presets else 2)


@pytest.mark.parametrize("tenth", ["snli", "ccg"])
def test_ten_tasks_with_and_without_ccgbank(tenth: str) -> None:
    """The best 1 to 10 tasks; the sets of 9,600 examples are those of the study of diversity."""
    studies = read_yaml(ROOT / "presets/studies.yaml")["studies"]
    for name in ("diversity", "how_many"):
        studies[name]["tasks"] = [tenth if task == "snli" else task for task in studies[name]["tasks"]]
    config = {**read_yaml(ROOT / "presets/xtreme_r.yaml"), "studies": studies, "data_dir": "data"}
    grid = loading.load_grid(config, ROOT)
    assert how_many.counts(studies["how_many"]) == list(range(1, 11))
    assert not {"diversity", "how_many"} & grid.study_problems.keys()
    sets = {row for rows in how_many.set_rows(studies["how_many"]).values() for row in rows}
    large = {row for row in grid.plans["diversity"].intermediates if row.startswith("mix_v9600_")}
    assert sets == large and len(sets) == 4 * 6 and any(tenth in row for row in sets)


def test_every_preset_is_counted() -> None:
    assert {path.stem for path in (ROOT / "presets").glob("*.yaml")} == EXPECTED.keys() - {"config"}


@pytest.mark.parametrize("name", EXPECTED)
def test_jobs_of_each_rule(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [f"presets/{file}.yaml" for file in (*BENEATH.get(name, ()), name) if file != "config"]
    settings: dict[str, Any] = dict(SETTINGS.get(name, {}))
    if "presets/local_mirror.yaml" in files:
        stand_in_mirror(ROOT / files[0], tmp_path / "mirror", monkeypatch)
        settings["data_dir"] = str(tmp_path / "mirror")
    if name == "real_encoder":
        write_encoder(tmp_path / "encoder")
        settings["models"] = {"e5_small": {"path": str(tmp_path / "encoder")}}
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "config.yaml", tmp_path)  # Snakemake looks for it where it runs
    jobs = planned_jobs(ROOT / "Snakefile", [str(ROOT / file) for file in files], settings)
    assert Counter(job.rule for job in jobs) == FIRST + EXPECTED[name]
