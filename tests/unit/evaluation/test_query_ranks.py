"""Ranks of queries against a naive ranking of a random model's vectors, one text at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from stiltgrid.evaluation.prediction import EvaluationPaths
from stiltgrid.evaluation.query_ranks import RankingSettings, rank_queries
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.encoded import read_encoded
from stiltgrid.preparation.encode import encode_file
from stiltgrid.tasks.families import family
from tiny_models import WORDS, write_backbone
from transformers import AutoModel

SPECIAL = (0, 1, 2)
LANGUAGES = ("en", "de")


def text(draw: np.random.Generator) -> str:
    return " ".join(draw.choice(WORDS, size=draw.integers(2, 9)))


def dual_rows(draw: np.random.Generator) -> list[dict[str, Any]]:
    """Six parallel queries a language, two of which have two relevant candidates; nine candidates a language."""
    rows = []
    for language in LANGUAGES:
        empty = {"language": language, "split": "test", "text_pair": None, "candidate": None, "candidate_pair": None}
        for number in range(9):
            name = f"c{number}-{language}"
            rows.append({**empty, "id": name, "role": "candidate", "text": text(draw), "gold": [], "group": name})
        for number in range(6):
            gold = [f"c{number}-{language}", *([f"c{number + 3}-{language}"] if number < 2 else [])]
            query = {"id": f"q{number}_{language}", "role": "query", "text": text(draw), "group": f"q{number}"}
            rows.append({**empty, **query, "gold": gold})
    return rows


def sentence_rows(draw: np.random.Generator) -> list[dict[str, Any]]:
    """Eight German queries and as many English candidates; the last query has no gold (as in BUCC)."""
    rows = []
    for number in range(8):
        base = {"language": "de", "split": "test", "text_pair": None}
        gold = [f"en{number}"] if number < 7 else []
        rows.append({**base, "id": f"de{number}", "role": "query", "text": text(draw), "gold": gold})
        rows.append({**base, "id": f"en{number}", "role": "candidate", "text": text(draw), "gold": []})
    return rows


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer_folder: Path) -> Path:
    return write_backbone(tmp_path_factory.mktemp("ranks") / "backbone", tiny_tokenizer_folder)


def ranked(
    folder: Path, backbone: Path, tokenizer: Path, kind: str, rows: list[dict[str, Any]], model: Model, **card: Any
) -> tuple[dict[str, list[int]], np.ndarray]:
    """Query id -> ranks as the workflow has them; and the naive vectors of all rows at layer 1."""
    task = TaskCard("toy", kind, "", "", languages=LANGUAGES, metric="map@20", max_length=64, **card)
    pq.write_table(pa.Table.from_pylist(rows, schema=family(kind).schema), folder / "eval.parquet")
    encode_file(task, folder / "eval.parquet", tokenizer, folder / "eval.arrow", 64, False)
    paths = EvaluationPaths(backbone, tokenizer, folder / "eval.arrow", folder / "eval.parquet")
    settings = RankingSettings(model, task, tuned=False, batch_tokens=100, precision="fp32")
    rank_queries(paths, settings, folder / "ranks.parquet")
    lines = pq.read_table(folder / "ranks.parquet").to_pylist()
    encoded, reader = read_encoded(folder / "eval.arrow"), AutoModel.from_pretrained(backbone).eval()
    vectors: list[np.ndarray] = [np.zeros(0)] * len(rows)
    with torch.no_grad():
        for number, example in enumerate(encoded.examples.tolist()):
            ids = encoded.tokens["input_ids"][encoded.offsets[number] : encoded.offsets[number + 1]].tolist()
            states = reader(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]
            kept = [token not in SPECIAL for token in ids]
            vectors[example] = states[torch.tensor(kept)].double().mean(dim=0).numpy()
    return {line["id"]: line["ranks"] for line in lines}, np.stack(vectors)


def naive(rows: list[dict[str, Any]], vectors: np.ndarray, query: int, gold: set[str], pool: list[int]) -> list[int]:
    """Ranks of the relevant among the pool, by cosine, best first."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = sorted(pool, key=lambda row: -float(unit[row] @ unit[query]))
    return [place for place, row in enumerate(order, start=1) if rows[row]["id"] in gold]


MODEL = Model("tiny", path="x", retrieval_layer=1, retrieval_pooling="mean")


def test_a_pool_of_all_languages_is_ranked_as_a_naive_loop_does(
    tmp_path: Path, backbone: Path, tiny_tokenizer_folder: Path
) -> None:
    rows = dual_rows(np.random.default_rng(3))
    found, vectors = ranked(tmp_path, backbone, tiny_tokenizer_folder, "dual", rows, MODEL)
    pool = [number for number, row in enumerate(rows) if row["role"] == "candidate"]
    assert len(found) == 12
    for number, row in enumerate(rows):
        if row["role"] == "query":
            # Parallel queries look for the answers in every language.
            gold = {name for other in rows if other["group"] == row["group"] for name in other["gold"]}
            assert found[row["id"]] == naive(rows, vectors, number, gold, pool), row["id"]


def test_sentences_are_ranked_within_their_language_and_queries_without_gold_are_left_out(
    tmp_path: Path, backbone: Path, tiny_tokenizer_folder: Path
) -> None:
    rows = sentence_rows(np.random.default_rng(4))
    found, vectors = ranked(tmp_path, backbone, tiny_tokenizer_folder, "embedding", rows, MODEL)
    pool = [number for number, row in enumerate(rows) if row["role"] == "candidate"]
    assert found.keys() == {f"de{number}" for number in range(7)}
    for number, row in enumerate(rows):
        if row["gold"]:
            assert found[row["id"]] == naive(rows, vectors, number, set(row["gold"]), pool), row["id"]


def test_centring_takes_each_sides_mean_away(tmp_path: Path, backbone: Path, tiny_tokenizer_folder: Path) -> None:
    rows = sentence_rows(np.random.default_rng(5))
    model = Model("tiny", path="x", retrieval_layer=1, retrieval_pooling="mean", retrieval_centred=True)
    found, vectors = ranked(tmp_path, backbone, tiny_tokenizer_folder, "embedding", rows, model)
    sides = {role: [n for n, row in enumerate(rows) if row["role"] == role] for role in ("query", "candidate")}
    for members in sides.values():
        vectors[members] -= vectors[members].mean(axis=0)
    for number, row in enumerate(rows):
        if row["gold"]:
            assert found[row["id"]] == naive(rows, vectors, number, set(row["gold"]), sides["candidate"])
