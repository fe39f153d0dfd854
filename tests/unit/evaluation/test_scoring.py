import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from stiltgrid.evaluation.prediction import EvaluationPaths
from stiltgrid.evaluation.scoring import ScoringSettings, score_target
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.grid.params import from_params
from stiltgrid.preparation.encode import encode_file
from stiltgrid.tasks.families import embedding, family
from stiltgrid.tasks.families.sequence import SequenceClassification
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.training import train_target
from stiltgrid.utils.errors import SourceError
from tiny_models import MODEL, WORDS, sequence_card, with_settings, write_backbone, write_task

CELL = {"model": "tiny", "intermediate": "none", "target": "toy", "seed": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_tokenizer_folder):
    """A backbone, a task and its tuned model."""
    folder = tmp_path_factory.mktemp("scoring")
    write_backbone(folder / "backbone", tiny_tokenizer_folder)
    task = write_task(folder / "toy", tiny_tokenizer_folder, sequence_card(), train=240)
    paths = TrainingPaths(folder / "backbone", tiny_tokenizer_folder, folder / "tuned")
    train_target(paths, TrainingJob(MODEL, [with_settings(task, epochs=5)], seed=1))
    return folder


@pytest.fixture()
def score(place, tiny_tokenizer_folder, tmp_path):
    def run(checkpoint="tuned", card=None, head=None, folder="toy", name="scores", model=MODEL, **evaluation):
        out = tmp_path / name
        encoded, rows = place / folder / "eval.arrow", place / folder / "eval.parquet"
        paths = EvaluationPaths(place / checkpoint, tiny_tokenizer_folder, encoded, rows)
        settings = ScoringSettings(
            from_params(Model, model), card or sequence_card(), head, CELL, provenance={"code": "abc"}, **evaluation
        )
        score_target(paths, settings, out / "metrics.json", out / "predictions.parquet")
        return json.loads((out / "metrics.json").read_text()), pq.read_table(out / "predictions.parquet")

    return run


def test_a_tuned_model_scores_every_language_above_chance(score):
    metrics, predictions = score(head=sequence_card())
    assert metrics["cell"] == CELL and metrics["metric"] == "accuracy" and metrics["split"] == "test"
    scores = {item["language"]: item for item in metrics["scores"]}
    assert scores.keys() == {"en", "de"}
    for language, item in scores.items():
        rows = predictions.filter(pa.compute.equal(predictions.column("language"), language))
        right = [p == g for p, g in zip(rows["prediction"].to_pylist(), rows["gold"].to_pylist(), strict=True)]
        assert item["n"] == len(right) == 30
        assert item["value"] == pytest.approx(100 * np.mean(right)) and item["value"] > 80, "chance is 50"


def test_metrics_carry_where_they_come_from(score, place):
    provenance = score(head=sequence_card())[0]["provenance"]
    assert provenance["code"] == "abc" and provenance["seed"] == 1
    assert provenance["card"]["name"] == "toy" and provenance["model"]["name"] == "tiny"
    assert provenance["rows"] == {"en/test": 30, "de/test": 30} and provenance["sequences"] == 60
    assert 0 < provenance["tokens"] <= provenance["computed_tokens"]
    assert {"torch", "transformers", "python"} <= provenance["versions"].keys() and provenance["seconds"] > 0


def test_batch_size_changes_no_prediction(score):
    large, small = (score(head=sequence_card(), batch_tokens=tokens, name=str(tokens)) for tokens in (10**6, 40))
    assert large[1].equals(small[1]) and large[0]["scores"] == small[0]["scores"]


def test_the_tokens_of_a_pass_are_recorded_and_said(score, caplog):
    caplog.set_level("INFO")
    chosen, configured = score(head=sequence_card()), score(head=sequence_card(), batch_tokens=200, name="configured")
    on_this_device = 16384 if torch.cuda.is_available() else 4096
    assert chosen[0]["provenance"]["batch_tokens"] == on_this_device
    assert configured[0]["provenance"]["batch_tokens"] == 200
    assert f"(at most {on_this_device} in a pass)" in caplog.text and "(at most 200 in a pass)" in caplog.text
    assert chosen[1].equals(configured[1])


def test_a_head_of_other_labels_is_refused(score):
    with pytest.raises(SourceError, match="tuned: its head does not fit card 'toy'"):
        score(head=sequence_card(labels=("a", "b", "c")))


def test_a_metric_that_the_family_does_not_measure_is_named(score, monkeypatch, tmp_path):
    with pytest.raises(SourceError, match="card 'toy': family 'sequence' measures accuracy, not 'f1'"):
        score(card=sequence_card(metric="f1"), head=sequence_card())
    assert list(tmp_path.iterdir()) == []


def test_a_failure_between_the_two_files_leaves_no_metrics(score, monkeypatch, tmp_path):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("stiltgrid.evaluation.scoring.write_json", fail)
    with pytest.raises(OSError, match="disk full"):
        score(head=sequence_card())
    assert [path.name for path in (tmp_path / "scores").iterdir()] == ["predictions.parquet"]


@pytest.fixture()
def retrieval(place, tiny_tokenizer_folder):
    card = TaskCard("pairs", "embedding", "", "", ("de",), "accuracy", 64, options={"mining": "nearest"})
    random = np.random.default_rng(1)
    rows = []
    for number in range(12):
        text = " ".join(random.choice(WORDS, 4))
        keys = {"language": "de", "split": "dev", "text_pair": None}
        rows.append({**keys, "id": f"q{number}", "role": "query", "text": text, "gold": [f"c{number}"]})
        rows.append({**keys, "id": f"c{number}", "role": "candidate", "text": text + " blue", "gold": []})
    (place / "pairs").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=family("embedding").schema), place / "pairs" / "eval.parquet")
    encode_file(card, place / "pairs/eval.parquet", tiny_tokenizer_folder, place / "pairs/eval.arrow", 64, False)
    return card


def test_untrained_targets_read_every_layer_of_the_backbone(score, retrieval):
    metrics, predictions = score("backbone", retrieval, folder="pairs")
    found = {item["metric"]: item["value"] for item in metrics["scores"]}
    assert found.keys() == {"accuracy", "accuracy_layer00", "accuracy_layer01", "accuracy_layer02"}
    assert found["accuracy"] in (found["accuracy_layer01"], found["accuracy_layer02"]) and found["accuracy"] > 50
    assert predictions.num_rows == 12, "the headline layer alone is published"


def test_a_layer_that_the_model_does_not_have_is_refused_before_any_work(score, retrieval, monkeypatch):
    monkeypatch.setattr("stiltgrid.evaluation.scoring.predict_all", None)
    with pytest.raises(SourceError, match=r"models.tiny.retrieval_layer: expected 0 to 2, its layers, found 3"):
        score("backbone", retrieval, folder="pairs", model={**MODEL, "retrieval_layer": 3})


def test_reading_layers_in_passes_changes_nothing(score, retrieval, monkeypatch):
    whole = score("backbone", retrieval, folder="pairs", name="whole")
    monkeypatch.setattr(embedding, "PASS_BYTES", 1)
    passes = score("backbone", retrieval, folder="pairs", name="passes")
    assert whole[0]["scores"] == passes[0]["scores"] and whole[1].equals(passes[1])
    assert passes[0]["provenance"]["tokens"] == 3 * whole[0]["provenance"]["tokens"], "a pass for each layer"


def test_headline_is_test_where_it_was_scored_unless_the_card_says(score):
    assert score(card=sequence_card(headline_split="test"), head=sequence_card())[0]["split"] == "test"
    assert SequenceClassification.splits_batches


def test_evaluation_keeps_nothing_for_gradients_and_sorts_by_length(score, monkeypatch):
    plain, longest = SequenceClassification.predict, []

    def watched(self, card, head, hidden, batch):
        assert hidden.is_inference() and not head.training
        longest.append(int(batch.lengths.max()))
        return plain(self, card, head, hidden, batch)

    monkeypatch.setattr(SequenceClassification, "predict", watched)
    metrics, _ = score(head=sequence_card(), batch_tokens=200)
    assert len(longest) > 3 and longest == sorted(longest, reverse=True)
    assert metrics["provenance"]["computed_tokens"] < 1.1 * metrics["provenance"]["tokens"]
