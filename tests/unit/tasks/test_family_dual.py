"""The dual encoder: pairs and pools, the in-batch softmax, ranking over one multilingual pool, subsampling."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.tasks.families import family
from stiltgrid.utils.errors import RowError

FAMILY = family("dual")


def make_card(fields=None, **options):
    return TaskCard(
        name="toy",
        family="dual",
        about="",
        citation="",
        languages=("en", "de"),
        metric="map@20",
        max_length=16,
        fields=fields or {},
        options=options,
    )


CARD = make_card()


def query(name, gold, text="a"):
    return RawRow({"id": name, "role": "query", "text": text, "text_pair": None, "gold": gold}, f"row of {name}")


def candidate(name, text="b", context="c"):
    return RawRow({"id": name, "role": "candidate", "text": text, "text_pair": context, "gold": []}, f"row of {name}")


def pair(name, text, answer, context=None):
    values = {"id": name, "role": "pair", "text": text, "candidate": answer, "candidate_pair": context}
    return RawRow(values, f"row of {name}")


def make_table(*languages, split="test", card=CARD):
    """Rows of (language, raw rows) pairs."""
    rows = [row for language, raw in languages for row in FAMILY.examples(card, raw, language, split)]
    return pa.Table.from_pylist(rows, schema=FAMILY.schema)


def scores_of(card, rows, vectors, columns=None):
    columns = columns or {"example": np.arange(rows.num_rows), "side": np.zeros(rows.num_rows)}
    predictions = FAMILY.decode(card, [np.asarray(vector, dtype=np.float32) for vector in vectors], columns, rows, {})
    return predictions, {(item.language, item.metric): item.value for item in FAMILY.measure(card, predictions, rows)}


ENGLISH = ("en", [query("q1", ["en-0"]), candidate("en-0"), candidate("en-1")])
GERMAN = ("de", [query("q1", ["de-0"]), candidate("de-0"), candidate("de-1")])
#            en query   en-0      en-1      de query     de-0        de-1
VECTORS = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [1.0, 0.0], [0.96, 0.28], [0.0, 1.0]]


def test_parallel_questions_share_the_relevant_sentences_of_all_languages():
    # Cosines of either query: de-0 .96, en-1 .8, en-0 .6, de-1 0. Relevant: en-0 and de-0, at ranks 1 and 3.
    predictions, scores = scores_of(CARD, make_table(ENGLISH, GERMAN), VECTORS)
    assert predictions.column("id").to_pylist() == ["q1_en", "q1_de"]
    assert predictions.column("prediction").to_pylist() == [["de-0", "en-1", "en-0", "de-1"]] * 2
    assert predictions.column("gold").to_pylist() == [["de-0", "en-0"]] * 2
    assert predictions.column("ranks").to_pylist() == [[1, 3]] * 2
    assert predictions.column("score").to_pylist() == pytest.approx([0.96, 0.96])
    for language in ("en", "de"):
        assert scores[language, "map@20"] == pytest.approx(100 * (1 + 2 / 3) / 2)
        assert scores[language, "recall@1"] == 50
        assert scores[language, "recall@5"] == 100
        assert scores[language, "mrr"] == 100


def test_the_relevant_set_is_the_union_over_the_languages_at_hand():
    predictions, scores = scores_of(CARD, make_table(ENGLISH), VECTORS[:3])
    assert predictions.column("relevant").to_pylist() == [1]
    assert scores["en", "map@20"] == 50
    single = make_card(parallel=False)
    predictions, _ = scores_of(single, make_table(ENGLISH, GERMAN, card=single), VECTORS)
    assert predictions.column("relevant").to_pylist() == [1, 1]


def test_per_language_pools_rank_own_candidates_only():
    card = make_card(pool="per_language")
    predictions, scores = scores_of(card, make_table(ENGLISH, GERMAN, card=card), VECTORS)
    assert predictions.column("prediction").to_pylist() == [["en-1", "en-0"], ["de-0", "de-1"]]
    assert (scores["en", "map@20"], scores["de", "map@20"]) == (50, 100)


def test_map_at_20_divides_by_20_when_more_are_relevant():
    raw = [query("q", [f"c{i}" for i in range(30)]), *(candidate(f"c{i}") for i in range(30)), candidate("wrong")]
    angles = np.linspace(0, 1, 32)  # the query at 0, the wrong candidate nearest to it, then c0, c1, …
    order = [0, *range(2, 32), 1]
    vectors = [[math.cos(angles[i]), math.sin(angles[i])] for i in order]
    _, scores = scores_of(CARD, make_table(("en", raw)), vectors)
    assert scores["en", "map@20"] == pytest.approx(100 * sum((rank - 1) / rank for rank in range(2, 21)) / 20)
    assert scores["en", "recall@20"] == pytest.approx(100 * 19 / 30)
    assert scores["en", "mrr"] == 50


def test_one_pool_serves_queries_of_other_languages_and_repeats_count_once():
    # As Mewsli-X: entities come with one language only; the second copy of Q1 must not take a rank.
    english = ("en", [query("m1", ["Q2"]), candidate("Q1"), candidate("Q2")])
    german = ("de", [query("m2", ["Q2"]), candidate("Q1")])
    vectors = [[0.8, 0.6], [1, 0], [0, 1], [0, 1], [1, 0]]
    predictions, scores = scores_of(CARD, make_table(english, german), vectors)
    assert predictions.column("prediction").to_pylist() == [["Q1", "Q2"], ["Q2", "Q1"]]
    assert (scores["en", "mrr"], scores["de", "mrr"]) == (50, 100)


def test_gold_outside_the_pool_counts_as_missed(caplog):
    _, scores = scores_of(CARD, make_table(("en", [query("m1", ["Q9"]), candidate("Q1")])), [[1, 0], [1, 0]])
    assert scores["en", "map@20"] == 0
    assert "1 of 1 queries have gold that is in no pool" in caplog.text


def test_a_development_set_of_pairs_ranks_every_query_among_all_candidates():
    # Pairs 0 and 2 have the same candidate text: it stands in the pool once and is right for both.
    rows = make_table(("en", [pair("p0", "a", "x"), pair("p1", "b", "y"), pair("p2", "c", "x")]), split="dev")
    columns = {"example": np.array([0, 0, 1, 1, 2, 2]), "side": np.array([0, 1, 0, 1, 0, 1])}
    vectors = [[1, 0], [1, 0], [0.8, 0.6], [0, 1], [0.9, 0.1], [1, 0]]
    predictions, scores = scores_of(CARD, rows, vectors, columns)
    assert predictions.column("prediction").to_pylist() == [["p0", "p1"]] * 3
    assert predictions.column("gold").to_pylist() == [["p0"], ["p1"], ["p0"]]
    assert scores["en", "recall@1"] == pytest.approx(200 / 3)
    assert scores["en", "map@20"] == pytest.approx(100 * (1 + 0.5 + 1) / 3)


def test_training_rows_by_fields_or_by_column_name():
    fields = {"text": "question", "candidate": "sentence", "candidate_pair": "context"}
    raw = RawRow({"question": " who? ", "sentence": "she.", "context": "it was she."}, "line 3")
    (row,) = FAMILY.examples(make_card(fields), [raw], "en", "train")
    assert row["id"] == "en-train-0" and row["role"] == "pair"
    assert [row[name] for name in ("text", "text_pair", "candidate", "candidate_pair")] == [
        "who?",
        None,
        "she.",
        "it was she.",
    ]
    assert FAMILY.examples(CARD, [pair("p0", "a", "x")], "en", "train")[0]["id"] == "p0"
    with pytest.raises(RowError, match="row of p0: candidate: expected text"):
        FAMILY.examples(CARD, [pair("p0", "a", " ")], "en", "train")


@pytest.fixture
def tokenizer(tmp_path):
    from stiltgrid.modeling.tokenization import SubwordTokenizer
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: number for number, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", "a", "b", "c", "d"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    layout = {"pad": 0, "mask": None, "prefix": [1], "middle": [2, 2], "suffix": [2]}
    (tmp_path / "special_tokens.json").write_text(json.dumps(layout))
    return SubwordTokenizer(tmp_path)


def test_encode_gives_two_sequences_a_pair_with_their_own_lengths(tokenizer):
    rows = make_table(("en", [pair("p0", "a b c d", "b", "c d"), pair("p1", "a", "b", "c d"), pair("p2", "a", "b")]))
    encoded = FAMILY.encode(make_card(query_length=4, candidate_length=99), rows, tokenizer, 16, training=True)
    assert encoded["input_ids"] == [
        [1, 4, 5, 2],
        [1, 5, 2, 2, 6, 7, 2],
        [1, 4, 2],
        [1, 5, 2, 2, 6, 7, 2],
        [1, 4, 2],
        [1, 5, 2],
    ]
    assert encoded["example"] == [0, 0, 1, 1, 2, 2]
    assert encoded["side"] == [0, 1, 0, 1, 0, 1]
    assert encoded["group"] == [0, 0, 0, 0, 1, 1]
    assert FAMILY.loss_weight({"side": np.array(encoded["side"])}, {}, 6) == 3
    assert max(map(len, FAMILY.encode(CARD, rows, tokenizer, 5, training=True)["input_ids"])) == 5


def test_encode_gives_one_sequence_a_pool_row(tokenizer):
    encoded = FAMILY.encode(CARD, make_table(ENGLISH), tokenizer, 16, training=False)
    assert encoded == {
        "input_ids": [[1, 4, 2], [1, 5, 2, 2, 6, 2], [1, 5, 2, 2, 6, 2]],
        "example": [0, 1, 2],
        "side": [0, 1, 1],
        "group": [-1, -1, -1],
    }


def test_loss_by_hand_with_sequences_in_any_order(tokenizer, tmp_path):
    import torch
    from stiltgrid.modeling.batching import make_batch
    from stiltgrid.modeling.encoded import read_encoded, write_encoded

    raw = [pair("p0", "a", "b"), pair("p1", "b", "c d"), pair("p2", "c", "b")]  # 0 and 2 share their candidate
    write_encoded(FAMILY.encode(CARD, make_table(("en", raw)), tokenizer, 16, training=True), tmp_path / "x.arrow")
    order = [3, 0, 2, 5, 1, 4]  # sequences q0 c0 q1 c1 q2 c2 are numbers 0 … 5
    batch = make_batch(read_encoded(tmp_path / "x.arrow"), order, pad=0, special=[1, 2], pooling="cls")
    vectors = {0: [2, 0], 1: [3, 0], 2: [0, 1], 3: [0.6, 0.8], 4: [1, 0], 5: [1, 0]}
    states = torch.zeros(6, batch.input_ids.shape[1], 2)
    states[:, 0] = torch.tensor([vectors[number] for number in order])
    head = FAMILY.build_head(CARD, 2)
    assert head.logit_scale.shape == (1,) and float(head.logit_scale.detach()) == 100.0
    torch.nn.init.constant_(head.logit_scale, 1.0)
    loss = FAMILY.loss(CARD, head, states, batch)
    # Cosines with c0, c1, c2: q0 1, .6, (1 masked); q1 0, .8, 0; q2 (1 masked), .6, 1.
    e = math.exp
    expected = 2 * math.log((e(1) + e(0.6)) / e(1)) + math.log((1 + e(0.8) + 1) / e(0.8))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert float(head.logit_scale.grad) != 0
    np.testing.assert_allclose(FAMILY.predict(CARD, None, states, batch)[1], [1, 0])
    assert not FAMILY.splits_batches


def test_subsampling_keeps_parallel_questions_with_their_answers():
    def language(code):
        questions = [query(f"q{i}", [f"{code}-{i}"]) for i in range(40)]
        return code, [*questions, *(candidate(f"{code}-{i}") for i in range(60))]

    table = make_table(language("en"), language("de"))
    few = FAMILY.subsample(table, 10).to_pylist()
    kept = {row["id"] for row in few}
    queries = {
        code: {row["group"] for row in few if row["role"] == "query" and row["language"] == code}
        for code in ("en", "de")
    }
    assert queries["en"] == queries["de"] and len(queries["en"]) == 10
    for row in few:
        if row["role"] == "query":
            number = row["group"][1:]
            assert row["gold"] == [f"de-{number}", f"en-{number}"] and set(row["gold"]) <= kept
    candidates = sum(row["role"] == "candidate" for row in few)
    assert candidates == 2 * (10 + round(50 / 4))
    assert FAMILY.subsample(table, 1000).column("id").to_pylist() == table.column("id").to_pylist()


def test_subsampling_pairs_draws_that_many():
    table = make_table(("en", [pair(f"p{i}", "a", "b") for i in range(20)]), split="dev")
    few = FAMILY.subsample(table, 5)
    assert few.num_rows == 5 and set(few.column("role").to_pylist()) == {"pair"}
