"""What a grid will take, against numbers worked out by hand."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.config.loading import load_grid
from stiltgrid.grid.grid import Recipe, TrainingSettings
from stiltgrid.grid.recipes import variant_of
from stiltgrid.modeling.encoded import to_table, write_encoded
from stiltgrid.preparation.data_sizes import DataSizes, Size
from stiltgrid.preparation.token_counts import mean_characters
from stiltgrid.workflow.dry_run import PlannedJob
from stiltgrid.workflow.estimate import Work, job_work, lines, stage_work
from stiltgrid.workflow.estimate_report import Done, report
from stiltgrid.workflow.speeds import CPU, Speed, device_kind, measured_speed, stage_speed

ROOT = Path(__file__).resolve().parents[3]
PRETRAIN = {
    "languages": ["en", "de"], "tokenizer": {"algorithm": "bpe", "vocabulary": 300, "pre_tokenizer": "metaspace"},
    "architecture": {"model_type": "xlm-roberta", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                     "intermediate_size": 64},
    "sequence_length": 128, "steps": 10, "tokens_per_step": 256,
}  # fmt: skip
CONFIG = {
    "source": "local", "data_dir": "tests/data/mirror", "models": {"tiny": {"pretrain": PRETRAIN}},
    "intermediates": ["none", "mnli"], "targets": ["xnli"], "seeds": [1], "tasks": {"xnli": {"languages": ["en"]}},
    "training": {"all": {"batch_size": 4, "epochs": 2, "dev_examples": 5, "evaluate_every": 3, "dev_share": None}},
}  # fmt: skip
JOBS = [
    PlannedJob("pretrain_backbone", {"model": "tiny"}, ("results/text/tiny.parquet",)),
    PlannedJob("train_intermediate", {"model": "tiny", "intermediate": "mnli", "seed": "1"},
               ("results/models/tiny/backbone/config.json", "results/encoded/tiny/mnli/train.arrow")),
    PlannedJob("train_target", {"model": "tiny", "intermediate": "mnli", "tuned": "mnli", "seed": "1"},
               ("results/encoded/tiny/mnli/train.arrow", "results/encoded/tiny/mnli/dev.arrow")),
    PlannedJob("score_target", {"model": "tiny", "intermediate": "mnli", "target": "xnli", "seed": "1"},
               ("results/encoded/tiny/xnli/eval.arrow",)),
]  # fmt: skip


def encode(path: Path, lengths: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"input_ids": [[1] * length for length in lengths], "example": list(range(len(lengths)))}
    write_encoded(to_table(columns), path)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """10 training examples of 20 tokens, 8 of dev of 10, 3 of evaluation of 7, encoded for the model `tiny`."""
    for split, count, length in (("train", 10, 20), ("dev", 8, 10)):
        encode(tmp_path / f"encoded/tiny/mnli/{split}.arrow", [length] * count)
    encode(tmp_path / "encoded/tiny/xnli/eval.arrow", [7] * 3)
    return tmp_path


def test_tokens_and_hours_by_hand(results):
    grid = load_grid({**CONFIG, "estimate": {"tokens_per_second": {"training": 2}}}, ROOT)
    sizes = DataSizes(grid, results, None)
    found = {line.stage: line for line in lines(grid, JOBS, sizes, results)}
    # 10 steps of 256 tokens.
    assert found["pretrain"].work == Work(2560, 0) and found["pretrain"].seconds == 1280
    # 2 epochs of 10 examples in batches of 4: 5 steps of 4 examples of 20 tokens, and dev after steps 3 and 5:
    # twice 5 examples of 10 tokens.
    assert found["intermediate"].work == found["target"].work == Work(400, 100)
    # Reading costs a third: (400 + 100 / 3) / 2.
    assert found["target"].seconds == pytest.approx(216.6667)
    # Scoring reads 3 * 7 tokens, three times as fast.
    assert found["score"].work == Work(0, 21) and found["score"].seconds == pytest.approx(3.5)
    text = report(grid, JOBS, sizes, results, 1, CPU, Done(3, 4))
    # 2560 + 500 + 500 + 21 tokens.
    assert "together 3.58 k tokens" in text and "3 counted in encoded files" in text and "unknown" not in text
    assert "3 of 4 cells are finished and left out" in text and "assumed" not in text


def test_mixtures_by_hand():
    settings = TrainingSettings(batch_size=10, epochs=1, evaluate_every=100, dev_examples=None)
    big, small, dev = Size(300, 3000, "encoded"), Size(100, 2000, "encoded"), Size(4, 40, "encoded")
    tasks = [("a", big, dev, settings), ("b", small, None, settings)]
    mixed = Recipe("mixed", ("a", "b"))
    # 30 + 10 steps of 10 examples, three quarters of them of 10 tokens, a quarter of 20; one look at 40 tokens.
    assert stage_work(tasks, mixed, settings) == Work(40 * 10 * 12.5, 40)
    # At most 100 of each: 10 + 10 steps, half of each task.
    assert stage_work(tasks, Recipe("capped", ("a", "b"), cap=100), settings) == Work(20 * 10 * 15, 40)
    # A budget of 40 examples: 30 and 10.
    assert stage_work(tasks, Recipe("few", ("a", "b"), examples=40), settings) == Work(4 * 10 * 12.5, 40)
    own = TrainingSettings(max_steps=8, evaluate_every=4, dev_share=0.03)
    assert stage_work(tasks, mixed, own) == Work(8 * 10 * 12.5, 2 * 40)
    # Of 1000 tokens and twice 40 that is 2.6 %; of 2 % one look is left, of 0.8 % half of it: two examples.
    for share, tokens in ((0.02, 40), (0.008, 20)):
        assert stage_work(tasks, mixed, own.override({"dev_share": share})) == Work(8 * 10 * 12.5, tokens)
    assert stage_work([*tasks, ("c", None, None, settings)], mixed, settings).unknown == {"c"}


def test_speed_is_what_earlier_jobs_wrote_down(tmp_path):
    for row, tokens, seconds in (("mnli", 900, 10), ("qqp", 300, 4)):
        path = tmp_path / f"intermediate/tiny/{row}/seed1/training.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"stages": [{"tokens": tokens, "dev_tokens": 300, "seconds": seconds}]}))
    # (900 + 300 / 3 + 300 + 300 / 3) tokens in 14 seconds
    assert measured_speed(tmp_path, "tiny", "intermediate") == pytest.approx(1400 / 14)
    assert measured_speed(tmp_path, "tiny", "target") is None and measured_speed(tmp_path, "other", "score") is None


def test_target_training_without_records_takes_the_speed_of_intermediate_training(results):
    """With `keep_tuned: false` the records of tuned models are deleted with them."""
    record = results / "intermediate/tiny/mnli/seed1/training.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"stages": [{"tokens": 100, "dev_tokens": 0, "seconds": 4}]}))
    grid = load_grid(CONFIG, ROOT)
    found = {line.stage: line for line in lines(grid, JOBS, DataSizes(grid, results, None), results)}
    assert found["target"].speed == Speed(25, "measured in intermediate training")
    assert found["intermediate"].speed == Speed(25, "measured")
    assert found["score"].speed is None and found["pretrain"].speed is None


def test_rows_and_the_source_tell_sizes_where_nothing_is_encoded(tmp_path):
    from stiltgrid.data.sources import open_source

    grid = load_grid({**CONFIG, "estimate": {"examples": {"qqp": 50}, "tokens_per_example": 8}}, ROOT)
    source = open_source("local", str(ROOT / "tests/data/mirror"))
    sizes = DataSizes(grid, tmp_path, source)
    train = sizes.size("tiny", "mnli", "train")
    rows = (ROOT / "tests/data/mirror/multi_nli/train.en.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [row["premise"] + row["hypothesis"] for row in map(json.loads, rows)]
    assert train == Size(len(rows), pytest.approx(sum(map(len, texts)) / 4), "source")
    prepared = {"id": ["1", "2"], "language": ["en"] * 2, "text_a": ["abcd", "ab"], "text_b": ["efgh", None]}
    (tmp_path / "data/qqp").mkdir(parents=True)
    pq.write_table(pa.table(prepared), tmp_path / "data/qqp/train.parquet")
    # 10 characters, at 4 a token
    assert sizes.size("tiny", "qqp", "train") == Size(2, 2.5, "rows")
    assert DataSizes(grid, tmp_path / "none", None).size("tiny", "qqp", "train") == Size(50, 400, "given")
    assert DataSizes(grid, tmp_path / "none", None).size("tiny", "mnli", "train") is None


def test_what_is_encoded_tells_the_characters_of_a_token(tmp_path, results):
    pq.write_table(
        pa.table({"id": ["1"] * 10, "text_a": ["x" * 60] * 10}), _folder(results / "data/mnli") / "train.parquet"
    )
    pq.write_table(pa.table({"id": ["1"], "text_a": ["x" * 300]}), _folder(results / "data/qqp") / "train.parquet")
    # 600 characters became 200 tokens: three each.
    found = DataSizes(load_grid(CONFIG, ROOT), results, None).size("tiny", "qqp", "train")
    assert found is not None and found.tokens == pytest.approx(100)


def test_rows_of_a_version_are_counted_in_their_own_folder(results):
    recipe = {"both": {"tasks": ["mnli"], "languages": ["de", "en"], "data": "translate_train"}}
    config = {**CONFIG, "source": "hub", "data_dir": None, "recipes": recipe, "intermediates": ["none", "mnli", "both"]}
    grid = load_grid({**config, "estimate": {"examples": {"mnli": 7}, "tokens_per_example": 30}}, ROOT)
    folder = variant_of(grid, "both", "mnli").name
    inputs = tuple(f"results/encoded/tiny/{folder}/{split}.arrow" for split in ("train", "dev"))
    job = PlannedJob("train_intermediate", {"model": "tiny", "intermediate": "both", "seed": "1"}, inputs)
    assert folder == "mnli+translate_train+de-en"
    # Not encoded yet: 7 examples in each of the two languages, 2 epochs of batches of 4: 7 steps of 4 * 30 tokens,
    # never the 10 examples of the plain task.
    assert job_work(grid, DataSizes(grid, results, None), job).trained == 7 * 4 * 30
    encode(results / f"encoded/tiny/{folder}/train.arrow", [50] * 20)
    encode(results / f"encoded/tiny/{folder}/dev.arrow", [10] * 4)
    # 10 steps of 4 examples of 50 tokens, dev after steps 3, 6, 9 and 10.
    assert job_work(grid, DataSizes(grid, results, None), job) == Work(10 * 4 * 50, 4 * 4 * 10)


def test_options_read_their_context_again():
    assert mean_characters([{"context": "abc", "choices": ["de", "f"], "label": 1, "id": "17"}]) == 9


def test_unknown_data_is_named_and_left_out(tmp_path):
    grid = load_grid(CONFIG, ROOT)
    text = report(grid, [PlannedJob("score_target", {"model": "tiny", "target": "xnli"}, ())],
                  DataSizes(grid, tmp_path, None), tmp_path, 1, CPU, Done(0, 4))  # fmt: skip
    assert "unknown, and left out of the total\n  xnli\n" in text and "without data of unknown size" in text
    assert "no speed is known for tiny on 'cpu' (score)" in text and "unknown hours" in text


SPEEDS = {"tiny": {"cpu": {"training": 60, "measured": "a laptop"},
                   "a100": {"training": 900, "scoring": 4000, "pretraining": 70, "measured": "a cluster"}}}  # fmt: skip


def test_speeds_of_the_configuration_hold_for_their_kind_of_device_alone(tmp_path):
    grid = load_grid({**CONFIG, "estimate": {"speeds": SPEEDS}}, ROOT)
    training, scoring = (stage_speed(grid, tmp_path, "tiny", stage, CPU) for stage in ("target", "score"))
    assert training == Speed(60, "assumed for cpu", "tiny on cpu: 60 tokens a second in training; the configuration's "
                             "estimate.speeds: a laptop")  # fmt: skip
    assert scoring is not None and scoring.tokens == pytest.approx(180) and "three times training" in scoring.assumed
    # No figure for pretraining on a CPU, and none is made up; a GPU is known by a part of its name.
    assert stage_speed(grid, tmp_path, "tiny", "pretrain", CPU) is None
    on_gpu = [stage_speed(grid, tmp_path, "tiny", stage, "nvidia a100-sxm4-80gb") for stage in ("pretrain", "score")]
    assert [speed and speed.tokens for speed in on_gpu] == [70, 4000]
    assert stage_speed(grid, tmp_path, "tiny", "target", "nvidia v100") is None
    assert stage_speed(grid, tmp_path, "other", "target", CPU) is None


def test_jobs_that_have_run_here_replace_the_speeds_of_the_configuration(results):
    record = results / "intermediate/tiny/mnli/seed1/training.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"stages": [{"tokens": 100, "dev_tokens": 0, "seconds": 4}]}))
    grid = load_grid({**CONFIG, "estimate": {"speeds": SPEEDS}}, ROOT)
    sizes = DataSizes(grid, results, None)
    text = report(grid, JOBS, sizes, results, 1, CPU, Done(0, 4))
    assert stage_speed(grid, results, "tiny", "intermediate", CPU) == Speed(25, "measured")
    # Scoring has no record: its figure is assumed, and said once.
    assert text.count("tiny on cpu: 180 tokens a second in scoring") == 1 and "60 tokens a second" not in text


def test_the_device_is_the_one_asked_for_or_this_machines(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-80GB'\necho 'NVIDIA A100-SXM4-80GB'\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert device_kind("h100") == "h100" and device_kind(None) == "nvidia a100-sxm4-80gb"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_kind(None) == CPU
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed' >&2\nexit 9\n")
    assert device_kind(None) == CPU


def test_disk_is_counted_for_the_grids_own_models(results):
    """A study's model is not asked for by the grid."""
    own = {"architecture": {"own_models": {"twin": {"like": "tiny"}}, "intermediates": ["mnli"], "targets": ["xnli"]}}
    grid = load_grid({**CONFIG, "studies": own}, ROOT)
    assert "twin" in grid.models
    text = report(grid, JOBS, DataSizes(grid, results, None), results, 1, CPU, Done(0, 4))
    assert "  tiny: " in text and "twin" not in text


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
