"""The shipped presets are sound, and hold what they say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from architectures import KINDS
from configurations import ROOT, load, snakemake_merge, write_encoder
from stiltgrid.data.sources.minilab.settings import world_settings
from stiltgrid.grid.benchmarks import benchmark_files, benchmarks
from stiltgrid.grid.grid import Grid, Model
from stiltgrid.training.language_modelling import PretrainSettings

pytestmark = pytest.mark.usefixtures("at_the_root")

# Files of the shared data folder (its README): languages of each table.
MIRROR = {
    "xnli/test xnli/validation": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "pawsx/test pawsx/validation": "de en es fr ja ko zh",
    "paws/train paws/validation udpos/train panx/train copa/train copa/validation squad/train squad/train_large "
    "squad/validation squad_v2/train squad_v2/validation hellaswag/train hellaswag/validation cosmos_qa/train "
    "cosmos_qa/validation social_i_qa/train social_i_qa/validation commonsense_qa/train commonsense_qa/validation "
    "anli/dev_r1 anli/dev_r2 anli/dev_r3 multi_nli/validation_matched multi_nli/validation_mismatched qqp/train "
    "qqp/validation snli/sample snli/train snli/validation bucc2018/pool": "en",
    "udpos/test": "bg de el en es et eu fi fr id ja ko ru tr vi zh",
    "udpos/validation": "af ar bg de el en es et eu fa fi fr he hi hu id it ja ko lt mr nl pl pt ro ru ta te tr uk "
    "ur vi wo zh",
    "panx/validation": "af ar az bg bn de el en es et eu fa fi fr gu he hi hu id it ja jv ka kk ko lt ml mr ms my nl "
    "pa pl pt qu ro ru sw ta te tl tr uk ur vi yo zh",
    "xquad/validation": "ar de el en es hi ro ru th tr vi zh",
    "mlqa/validation": "ar de en es hi vi zh",
    "tydiqa/train": "en ko sw",
    "tydiqa/validation": "ar bn en fi id ko ru sw te",
    "tatoeba/validation": "af ar az bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko lt ml mr nl pl pt ro "
    "ru sw ta te th tl tr uk ur vi zh",
    "bucc2018/gold bucc2018/pool bucc2018/validation": "zh",
    "lareqa/candidates lareqa/questions": "ar de el en es hi ru th tr vi zh",
    "xcopa/test xcopa/validation": "et ht id it qu sw ta th tr vi zh",
    "text/": "ar bg de el en es et eu fi fr hi id ja ko ru sw ta te th tr ur vi zh",
}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty files under the names of the shared data folder: loading only checks that they exist."""
    folder = tmp_path_factory.mktemp("data")
    for tables, languages in MIRROR.items():
        for table in tables.split():
            for language in languages.split():
                name = f"{table}{language}.txt.gz" if table == "text/" else f"{table}.{language}.jsonl.gz"
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def local_mirror(mirror: Path) -> Grid:
    paths = (ROOT / "presets/local_mirror.yaml", ROOT / "config.yaml")
    return load({**snakemake_merge(*paths), "data_dir": str(mirror)}, paths)


def test_local_mirror_covers_the_grid_of_the_issue(local_mirror: Grid) -> None:
    assert local_mirror.intermediates == (
        "none", "anli_plus", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "cosmos_qa", "commonsense_qa",
        "social_i_qa",
    )  # fmt: skip
    assert len(local_mirror.targets) == 11 and "mewslix" not in local_mirror.targets
    assert list(local_mirror.models) == ["mini_xlmr"], "nothing of config.yaml holds beside a preset"
    assert len(local_mirror.models["mini_xlmr"].pretrain["languages"]) == 23  # type: ignore[index]


def test_local_mirror_scores_every_language_there_is(local_mirror: Grid) -> None:
    counts = {target: len(local_mirror.languages(target)) for target in local_mirror.targets}
    assert counts == {
        "xnli": 15, "pawsx": 7, "udpos": 34, "panx": 47, "xquad": 12, "mlqa": 7, "tydiqa": 9, "bucc2018": 1,
        "tatoeba": 41, "xcopa": 11, "lareqa": 11,
    }  # fmt: skip
    splits = {target: local_mirror.eval_splits(target) for target in ("udpos", "panx", "mlqa", "bucc2018", "xnli")}
    assert splits == {
        "udpos": ("dev",),
        "panx": ("dev",),
        "mlqa": ("dev",),
        "bucc2018": ("dev",),
        "xnli": ("dev", "test"),
    }


def test_the_real_encoder_runs_with_the_same_settings_on_the_mirror_and_on_the_hub(
    mirror: Path, tmp_path: Path
) -> None:
    """The hub's overlay is the one that the preset's first lines show."""
    write_encoder(tmp_path / "encoder")
    real, hub = ROOT / "presets/real_encoder.yaml", tmp_path / "hub.yaml"
    shown = real.read_text(encoding="utf-8").partition("\nmodels:")[0].partition("#   source:")
    hub.write_text("source:" + shown[2].replace("#   ", "").rstrip("#"))
    grids = []
    for paths in ((real,), (real, hub)):
        files = (ROOT / "presets/local_mirror.yaml", *paths, ROOT / "config.yaml")
        config = snakemake_merge(*files)
        if config["source"] == "local":
            config["data_dir"] = str(mirror)
            config["models"]["e5_small"]["path"] = str(tmp_path / "encoder")
        grids.append(load(config, files))
    local, online = grids
    assert local.models["e5_small"].path == str(tmp_path / "encoder") and list(local.models) == ["e5_small"]
    published = online.models["e5_small_hub"]
    assert list(online.models) == ["e5_small_hub"] and published.revision == "fd1525a9fd15316a2d503bf26ab031a61d056e98"
    read = ("pooling", "retrieval_pooling", "retrieval_layer")
    assert [getattr(local.models["e5_small"], name) for name in read] == [getattr(published, name) for name in read]
    assert local.intermediates == online.intermediates and len(local.intermediates) == 11
    assert local.targets == online.targets and len(local.targets) == 10
    assert all(local.evaluation_for(name) == online.evaluation_for(name) for name in local.targets)
    for task in local.trained_tasks():
        assert local.cards[task].max_length == online.cards[task].max_length
        for stage in ("intermediate", "target"):
            assert local.training_for(stage, task) == online.training_for(stage, task), (task, stage)


def test_local_mirror_trains_on_no_evaluation_file(local_mirror: Grid) -> None:
    """English development sets choose the best step, as in XTREME; nothing scored is trained on."""

    def tables(task: str, splits: tuple[str, ...]) -> set[str]:
        section = local_mirror.cards[task].local or {}
        names: set[str] = set()
        for split in splits:
            value = section.get("splits", {}).get(split, ())
            parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
            names |= {name if "/" in name else f"{section['folder']}/{name}" for name in parts if name}
        return names

    def origins(task: str) -> tuple[str, ...]:
        return local_mirror.cards[task].origins("train")

    trained = {
        table
        for task in local_mirror.trained_tasks()
        for origin in origins(task)
        for table in tables(origin, ("train",))
    }
    scored = {table for target in local_mirror.targets for table in tables(target, local_mirror.eval_splits(target))}
    assert trained and scored and not trained & scored


def test_local_mirror_fits_the_model(local_mirror: Grid) -> None:
    """Positions beyond the pretrained ones are random."""
    longest = local_mirror.models["mini_xlmr"].pretrain["sequence_length"]  # type: ignore[index]
    names = {*local_mirror.targets, *local_mirror.trained_tasks()}
    assert {
        name: local_mirror.cards[name].max_length for name in names if local_mirror.cards[name].max_length > longest
    } == {}


def test_architectures_lays_a_decoder_beside_the_encoder() -> None:
    paths = (ROOT / "presets/architectures.yaml", ROOT / "config.yaml")
    grid = load(snakemake_merge(*paths), paths)
    encoder, decoder = (dict(grid.models[name].pretrain or {}) for name in ("mini", "mini_decoder"))
    assert decoder.pop("objective") == "causal" and encoder.pop("objective", "masked") == "masked"
    encoder.pop("mask_rate", None)
    assert decoder == {**encoder, "architecture": {**encoder["architecture"], "is_decoder": True}}
    assert len(grid.targets) == 12 and list(grid.models) == ["mini", "mini_decoder"]


def test_the_mini_preset_is_the_default_spelled_out() -> None:
    """Another spelling of the same grid: change both files together."""
    default, mini = (ROOT / "config.yaml",), (ROOT / "presets/mini.yaml", ROOT / "config.yaml")
    grids = load(snakemake_merge(*default), default), load(snakemake_merge(*mini), mini)
    sections = [
        {
            "plain": (grid.source, grid.intermediates, grid.targets, grid.seeds, grid.recipes, grid.keep_tuned),
            "world": world_settings(grid.world),
            "models": {name: replace(model, pretrain=None) for name, model in grid.models.items()},
            "pretraining": {name: _pretraining(model) for name, model in grid.models.items()},
            "training": {
                (stage, name): grid.training_for(stage, name)
                for stage in ("intermediate", "target")
                for name in (*grid.cards, *grid.recipes)
            },
            "evaluation": {name: grid.evaluation_for(name) for name in grid.targets},
            # The models of their own are among `models`.
            "studies": {
                name: {key: value for key, value in section.items() if key != "own_models"}
                for name, section in grid.studies.items()
            },
            "cards": grid.cards,
        }
        for grid in grids
    ]
    for part in sections[0]:
        assert sections[1][part] == sections[0][part], part


def _pretraining(model: Model) -> tuple[Any, ...]:
    section = dict(model.pretrain or {})
    return (PretrainSettings.read(section), section["languages"], section["tokenizer"], section.get("characters"))


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [("phang2020", 23, 9), ("xtreme_r", 4, 10), ("low_resource", 4, 8)],
)
def test_presets_of_the_papers(name: str, rows: int, columns: int) -> None:
    """CCGbank stands in for one's own copy; everything else is on the hub."""
    paths = (ROOT / f"presets/{name}.yaml", ROOT / "config.yaml")
    grid = load({**snakemake_merge(*paths), "data_dir": "tests/data/mirror"}, paths)
    assert (len(grid.intermediates), len(grid.targets), list(grid.models)) == (rows, columns, ["xlmr_large"])
    (key,) = (key for key, content in benchmark_files().items() if content["preset"] == f"presets/{name}.yaml")
    benchmark = benchmarks()[key]
    assert set(grid.targets) == set(benchmark.tasks)
    for target in grid.targets:
        counted = set(grid.cards[target].benchmarks[benchmark.name])
        assert counted <= set(grid.languages(target))
        assert counted == set(grid.languages(target)) or not benchmark.official


# The architecture of each backbone, which goes through every family with two layers and random weights
# (tests/unit/studies/test_architecture_grids.py, tests/unit/modeling/test_architectures.py).
ARCHITECTURES = {
    "xlmr_large": "xlm-roberta", "xlmr_base": "xlm-roberta", "xlm_v": "xlm-roberta", "glot500": "xlm-roberta",
    "e5_base": "xlm-roberta", "bge_m3": "xlm-roberta", "labse": "bert", "mdeberta": "deberta-v3",
    "eurobert": "eurobert", "mmbert": "modernbert", "qwen3_06b": "qwen3", "gemma3_270m": "gemma3-text",
}  # fmt: skip


def test_every_backbone_is_pinned_licensed_and_of_an_architecture_that_was_tried() -> None:
    paths = (ROOT / "presets/backbones.yaml", ROOT / "presets/xtreme_r.yaml", ROOT / "config.yaml")
    grid = load({**snakemake_merge(*paths), "data_dir": "tests/data/mirror"}, paths)
    assert grid.models.keys() == ARCHITECTURES.keys()
    assert all(model.hub and len(model.revision or "") == 40 and model.licence for model in grid.models.values())
    assert set(ARCHITECTURES.values()) <= KINDS.keys()
    assert [name for name, model in grid.models.items() if model.convert] == ["mmbert", "bge_m3"]
