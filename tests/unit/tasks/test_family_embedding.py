"""Sentence retrieval: rows, direction, mining over dev and test, every layer, subsampling."""

import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.embedding import raw_id, retrieval_layer
from stiltgrid.utils.errors import RowError, StiltgridError

FAMILY = family("embedding")


def make_card(fields=None, **options):
    return TaskCard(
        name="toy",
        family="embedding",
        about="",
        citation="",
        languages=("de",),
        metric="accuracy",
        max_length=8,
        fields=fields or {},
        options=options,
    )


TATOEBA = make_card({"source": "source_sentence", "target": "target_sentence"})
BUCC = make_card(mining="margin", neighbours=2)


def pair(source, target):
    return RawRow({"source_sentence": source, "target_sentence": target, "source_lang": "deu"}, "toy.jsonl line 1")


def pool(name, role, text, gold=()):
    return RawRow({"id": name, "role": role, "text": text, "text_pair": None, "gold": list(gold)}, f"pool of {name}")


def make_table(rows):
    return pa.Table.from_pylist(rows, schema=FAMILY.schema)


def as_outputs(*layers):
    """One (layers, hidden) array a row from one (rows, hidden) list a layer."""
    return list(np.stack([np.asarray(layer, dtype=np.float32) for layer in layers], axis=1))


def decode(card, rows, *layers, **options):
    columns = {"example": np.arange(rows.num_rows)}
    return FAMILY.decode(card, as_outputs(*layers), columns, rows, options)


def values_of(measurements):
    return {(item.language, item.split, item.metric): (item.value, item.n) for item in measurements}


def test_a_pair_becomes_an_english_query_and_a_candidate():
    rows = FAMILY.examples(TATOEBA, [pair("Guten Tag.\n", "Good day.\n")], "de", "test")
    assert [(row["id"], row["role"], row["text"], row["gold"]) for row in rows] == [
        ("de-test-0-en", "query", "Good day.", ["de-test-0-de"]),
        ("de-test-0-de", "candidate", "Guten Tag.", []),
    ]
    assert {row["language"] for row in rows} == {"de"}
    reverse = make_card(dict(TATOEBA.fields), direction="source_to_target")
    assert FAMILY.examples(reverse, [pair("Guten Tag.", "Good day.")], "de", "test")[0]["text"] == "Guten Tag."


def test_pool_ids_are_unique_in_the_file_and_can_be_undone():
    raw = [pool("zh-01", "query", "一", ["en-01"]), pool("en-01", "candidate", "one")]
    dev, test = FAMILY.examples(BUCC, raw, "zh", "dev"), FAMILY.examples(BUCC, raw, "zh", "test")
    other = FAMILY.examples(BUCC, [pool("de-01", "query", "eins", ["en-01"]), raw[1]], "de", "dev")
    names = [row["id"] for row in [*dev, *test, *other]]
    assert len(set(names)) == 6
    assert dev[0]["gold"] == [dev[1]["id"]]
    assert raw_id(dev[1]["id"], "zh", "dev") == "en-01"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([pool("q", "query", "x", ["lost"])], ["gold 'lost' of 'q'"]),
        ([pool("q", "query", "x"), pool("q", "candidate", "y")], ["pool of q", "id 'zh-dev-q'"]),
        ([pool("q", "question", "x")], ["'question'", "'query' or 'candidate'"]),
        ([pool("q", "query", " \n")], ["text: expected text"]),
        ([pool(" ", "query", "x")], ["id"]),
        ([pool("c", "candidate", "x", ["c"])], ["a candidate has no gold"]),
        ([RawRow({"role": "query", "text": "x", "idd": "q"}, "line 9")], ["line 9", "expected column 'id'", "'idd'"]),
    ],
)
def test_wrong_pool_rows_are_refused_by_name(rows, words):
    with pytest.raises(RowError) as caught:
        FAMILY.examples(BUCC, rows, "zh", "dev")
    assert all(word in str(caught.value) for word in words)


def test_an_empty_side_of_a_pair_is_refused():
    with pytest.raises(RowError, match=r"toy.jsonl line 1: source: expected text"):
        FAMILY.examples(TATOEBA, [pair("", "Good day.")], "de", "test")


def test_nearest_is_asked_from_english_into_the_other_language():
    # Cosines between English (rows) and German (columns):      de0    de1
    #                                                     en0   1.00   0.80
    #                                                     en1   0.96   0.936
    # From English both find de0: accuracy 1/2. From German, de0 finds en0 and de1 finds en1: it would be 1.
    rows = make_table(FAMILY.examples(TATOEBA, [pair("a", "A"), pair("b", "B")], "de", "test"))
    english, german = [[1, 0], [0.96, 0.28]], [[1, 0], [0.8, 0.6]]
    layer = [english[0], german[0], english[1], german[1]]  # rows alternate query, candidate
    assert np.argmax(np.array(english) @ np.array(german).T, axis=0).tolist() == [0, 1]
    predictions = decode(TATOEBA, rows, layer, retrieval_layer=0)
    assert predictions.column("id").to_pylist() == ["de-test-0-en", "de-test-1-en"]
    assert predictions.column("prediction").to_pylist() == ["de-test-0-de", "de-test-0-de"]
    assert predictions.column("gold").to_pylist() == [["de-test-0-de"], ["de-test-1-de"]]
    assert predictions.column("score").to_pylist() == pytest.approx([1.0, 0.96])
    assert values_of(FAMILY.measure(TATOEBA, predictions, rows))["de", "test", "accuracy"] == (50.0, 2)


def test_centring_takes_each_sides_own_mean_away():
    # English (5, 1), (5, -1) with mean (5, 0); German (1, 6), (-1, 4) with mean (0, 5). Less the means: (0, 1),
    # (0, -1) and (1, 1), (-1, -1), whose cosines are .71 for the right pairs and -.71 for the wrong ones.
    rows = make_table(FAMILY.examples(TATOEBA, [pair("a", "A"), pair("b", "B")], "de", "test"))
    layer = [[5, 1], [1, 6], [5, -1], [-1, 4]]  # rows alternate query, candidate
    plain = decode(TATOEBA, rows, layer, retrieval_layer=0)
    moved = decode(TATOEBA, rows, layer, retrieval_layer=0, retrieval_centred=True)
    # Plain cosines: 11/(5.10*6.08) = .35 and -1/(5.10*4.12) = -.05; then -1/31.0 = -.03 and -9/21.0 = -.43.
    assert plain.column("prediction").to_pylist() == ["de-test-0-de", "de-test-0-de"]
    assert moved.column("prediction").to_pylist() == ["de-test-0-de", "de-test-1-de"]
    assert moved.column("score").to_pylist() == pytest.approx([0.5**0.5, 0.5**0.5])


def test_vector_length_does_not_matter_and_languages_keep_apart():
    german = FAMILY.examples(TATOEBA, [pair("a", "A"), pair("b", "B")], "de", "test")
    french = FAMILY.examples(TATOEBA, [pair("c", "C")], "fr", "test")
    rows = make_table([*german, *french])
    layer = [[1, 0], [5, 0.1], [0, 1], [0.1, 100], [1, 0], [-1, 0]]
    scores = values_of(FAMILY.measure(TATOEBA, decode(TATOEBA, rows, layer, retrieval_layer=0), rows))
    assert scores["de", "test", "accuracy"] == (100.0, 2)
    assert scores["fr", "test", "accuracy"] == (100.0, 1)  # its only candidate, however far


def test_every_layer_is_scored_and_passes_add_up():
    rows = make_table(FAMILY.examples(TATOEBA, [pair("a", "A"), pair("b", "B")], "de", "test"))
    right, wrong = [[1, 0], [1, 0], [0, 1], [0, 1]], [[1, 0], [0, 1], [0, 1], [1, 0]]
    whole = decode(TATOEBA, rows, wrong, right, wrong, retrieval_layer=1)
    scores = {item.metric: item.value for item in FAMILY.measure(TATOEBA, whole, rows)}
    assert scores == {"accuracy": 100, "accuracy_layer00": 0, "accuracy_layer01": 100, "accuracy_layer02": 0}
    passes = pa.concat_tables(
        [
            decode(TATOEBA, rows, wrong, right, retrieval_layer=1, layers=[0, 1], hidden_layers=2),
            decode(TATOEBA, rows, wrong, retrieval_layer=1, layers=[2], hidden_layers=2),
        ]
    )
    assert passes.equals(whole)
    published = FAMILY.published(whole)
    assert published.num_rows == 2 and set(published.column("layer").to_pylist()) == {1}
    assert {item.metric for item in FAMILY.measure(TATOEBA, published, rows)} == {"accuracy", "accuracy_layer01"}


def test_the_outputs_may_come_in_any_order():
    rows = make_table(FAMILY.examples(TATOEBA, [pair("a", "A"), pair("b", "B")], "de", "test"))
    outputs = as_outputs([[0, 1], [1, 0], [0, 1], [1, 0]])
    columns = {"example": np.array([3, 0, 2, 1])}  # en0 = (1, 0), de0 = (1, 0), en1 = (0, 1), de1 = (0, 1)
    predictions = FAMILY.decode(TATOEBA, outputs, columns, rows, {"retrieval_layer": 0})
    assert predictions.column("prediction").to_pylist() == ["de-test-0-de", "de-test-1-de"]


def test_the_default_layer_is_as_deep_as_layer_14_of_24():
    assert [retrieval_layer({}, layers) for layers in (24, 12, 6, 2)] == [14, 7, 4, 1]
    assert retrieval_layer({"retrieval_layer": 0}, 12) == 0
    with pytest.raises(StiltgridError, match="0 to 12, the layers of this model, found 14"):
        retrieval_layer({"retrieval_layer": 14}, 12)


def test_layers_per_pass_stays_in_four_gigabytes():
    assert FAMILY.layers_per_pass(36_000 * 2, 25, 1024) == 14
    assert FAMILY.layers_per_pass(1000, 25, 1024) == 25
    assert FAMILY.layers_per_pass(10**9, 25, 1024) == 1
    assert FAMILY.layers_per_pass(400_000 + 20_000, 25, 1024) == 2, "BUCC's largest pair and XLM-R Large"


@pytest.mark.parametrize("task", [TATOEBA, BUCC], ids=["nearest", "mined"])
def test_decoding_works_on_one_layer_at_a_time(task):
    pairs = [pair(f"a {number}", f"A {number}") for number in range(200)]
    rows = make_table([row for each in pairs for row in FAMILY.examples(TATOEBA, [each], "de", "test")])
    rows = rows.set_column(0, "id", pa.array([f"row-{number}" for number in range(rows.num_rows)]))
    outputs = list(np.random.default_rng(1).standard_normal((rows.num_rows, 12, 1024), dtype=np.float32))
    columns = {"example": np.arange(rows.num_rows)}
    decode(task, rows, np.ones((rows.num_rows, 2)))  # libraries that a first call loads
    tracemalloc.start()
    FAMILY.decode(task, outputs, columns, rows, {"retrieval_layer": 0})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one = outputs[0][0].nbytes * rows.num_rows
    assert peak < 5 * one, "stacked, in the rows' order, of unit length, and split in two; never all twelve"


def mining_rows():
    """Three parallel sentences in the plane (see test_mining) in dev and test; q2 has no gold, c3 is no gold."""
    raw = [
        pool("q0", "query", "null", ["c0"]),
        pool("q1", "query", "eins", ["c1"]),
        pool("q2", "query", "zwei"),
        pool("q3", "query", "drei", ["c3"]),
        pool("c0", "candidate", "zero"),
        pool("c1", "candidate", "one"),
        pool("c2", "candidate", "two"),
        pool("c3", "candidate", "three"),
    ]
    return [row for split in ("dev", "test") for row in FAMILY.examples(BUCC, raw, "zh", split)]


PLANE = [
    [1, 0, 0],
    [0.6, 0.8, 0],
    [0, 1, 0],
    [0, 0, 1],  # q0 … q3
    [1, 0, 0],
    [0.8, 0.6, 0],
    [0, 1, 0],
    [0, -0.6, -0.8],  # c0 … c3
]


def test_mining_cuts_test_at_the_threshold_of_dev():
    # Cosines:      c0    c1    c2    c3      two best   mean
    #        q0    1.0   0.8   0.0   0.0      1, .8      .9
    #        q1    0.6   0.96  0.8  -0.48     .96, .8    .88
    #        q2    0.0   0.6   1.0  -0.6      1, .6      .8
    #        q3    0.0   0.0   0.0  -0.8      0, 0       .0     c0 .8, c1 .88, c2 .9, c3 (0, -.48) -.24
    # Margins: q0c0 1/.85 = 1.176, q2c2 1/.85, q1c1 .96/.88 = 1.091; q3 finds nothing above 0.
    # Gold: q0c0, q1c1, q3c3. Kept 2 (q0c0 and q2c2 tie): F1 2/5; kept 3: 4/6. The threshold lies at the end.
    predictions = decode(BUCC, make_table(mining_rows()), PLANE + PLANE, retrieval_layer=0)
    assert predictions.column("split").to_pylist() == ["dev"] * 4 + ["test"] * 4
    named = zip(*(predictions.column(name).to_pylist()[4:] for name in ("id", "prediction", "gold")), strict=True)
    assert list(named) == [
        ("zh-test-q0", "zh-test-c0", ["zh-test-c0"]),
        ("zh-test-q1", "zh-test-c1", ["zh-test-c1"]),
        ("zh-test-q2", "zh-test-c2", []),
        ("zh-test-q3", None, ["zh-test-c3"]),
    ]
    assert predictions.column("score").to_pylist()[:4] == pytest.approx([1 / 0.85, 0.96 / 0.88, 1 / 0.85, None])
    assert predictions.column("threshold").to_pylist() == pytest.approx([0.96 / 0.88] * 8)
    scores = values_of(FAMILY.measure(BUCC, predictions, make_table(mining_rows())))
    assert scores["zh", "test", "f1"] == (pytest.approx(200 * 2 / 6), 3)
    assert scores["zh", "test", "precision"] == (pytest.approx(100 * 2 / 3), 3)
    assert scores["zh", "test", "recall"] == (pytest.approx(100 * 2 / 3), 3)
    assert scores["zh", "dev", "f1_layer00"] == (pytest.approx(200 * 2 / 6), 3)


def test_dev_alone_decides_the_threshold():
    # In test q1 falls onto q0: q0c0 now has the margin 1/((.9 + 1)/2) = 1.053, q2c2 1/((.8 + .5)/2) = 1.538.
    # dev's threshold, 1.091, lets q0c0 go, although it is right and test's own threshold would keep it.
    moved = [row[:] for row in PLANE]
    moved[1] = [1, 0, 0]
    rows = make_table(mining_rows())
    predictions = decode(BUCC, rows, PLANE + moved, retrieval_layer=0)
    assert predictions.column("prediction").to_pylist()[4:] == [None, None, "zh-test-c2", None]
    assert values_of(FAMILY.measure(BUCC, predictions, rows))["zh", "test", "f1"] == (0.0, 3)
    alone = decode(BUCC, rows.slice(8), moved, retrieval_layer=0)
    assert alone.column("prediction").to_pylist() == ["zh-test-c0", None, "zh-test-c2", None]


def test_without_dev_the_split_is_cut_at_its_own_threshold_with_a_warning(caplog):
    rows = make_table([row for row in mining_rows() if row["split"] == "test"])
    predictions = decode(BUCC, rows, PLANE, retrieval_layer=0)
    assert predictions.column("threshold").to_pylist() == pytest.approx([0.96 / 0.88] * 4)
    assert "no dev split" in caplog.text


def test_repeated_sentences_are_mined_once_and_never_count():
    raw = [
        pool("q0", "query", "null", ["c0"]),
        pool("q1", "query", "eins", ["c1"]),
        pool("q2", "query", "null"),
        pool("c0", "candidate", "zero"),
        pool("c1", "candidate", "one"),
    ]
    rows = make_table(FAMILY.examples(BUCC, raw, "zh", "dev"))
    predictions = decode(BUCC, rows, [[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]], retrieval_layer=0)
    assert predictions.column("prediction").to_pylist() == [None, "zh-dev-c1"]
    f1, n = values_of(FAMILY.measure(BUCC, predictions, rows))["zh", "dev", "f1"]
    assert (f1, n) == (pytest.approx(200 * 1 / 3), 2)


def test_published_mining_rows_give_the_same_f1():
    rows = make_table(mining_rows())
    whole = decode(BUCC, rows, PLANE + PLANE, PLANE + PLANE, retrieval_layer=1)
    kept = FAMILY.published(whole)
    expected = [item for item in FAMILY.measure(BUCC, whole, rows) if "layer00" not in item.metric]
    assert FAMILY.measure(BUCC, kept, rows) == expected


def test_subsampled_pairs_stay_parallel_over_languages():
    rows = []
    for language in ("de", "fr"):
        rows += FAMILY.examples(TATOEBA, [pair(f"{language} {i}", f"en {i}") for i in range(50)], language, "test")
    table = make_table(rows)
    few = FAMILY.subsample(table, 10)
    numbers = {
        language: {row["id"].split("-")[2] for row in few.to_pylist() if row["language"] == language}
        for language in ("de", "fr")
    }
    assert numbers["de"] == numbers["fr"] and len(numbers["de"]) == 10
    assert few.num_rows == 40
    kept = set(few.column("id").to_pylist())
    assert all(set(gold) <= kept for gold in few.column("gold").to_pylist())
    assert FAMILY.subsample(table, 10).equals(few)
    assert not FAMILY.subsample(table, 10, seed=1).equals(few)
    assert FAMILY.subsample(table, 1000).equals(table)


def test_subsampled_pools_keep_gold_and_are_capped():
    raw = [pool(f"q{i}", "query", f"query {i}", [f"c{i}"] if i < 30 else []) for i in range(100)]
    raw += [pool(f"c{i}", "candidate", f"candidate {i}") for i in range(150)]
    table = make_table(FAMILY.examples(BUCC, raw, "zh", "dev"))
    few = FAMILY.subsample(table, 40).to_pylist()
    queries = [row for row in few if row["role"] == "query"]
    candidates = {row["id"] for row in few if row["role"] == "candidate"}
    assert (len(queries), len(candidates)) == (40, 40)
    assert sum(bool(row["gold"]) for row in queries) == 10
    assert all(set(row["gold"]) <= candidates for row in queries)
    assert FAMILY.subsample(table, 150).equals(table)


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


def test_encode_cuts_at_max_length(tokenizer):
    rows = make_table(FAMILY.examples(TATOEBA, [pair("a b", "a b c d")], "de", "test"))
    assert FAMILY.encode(TATOEBA, rows, tokenizer, 5, training=False) == {
        "input_ids": [[1, 4, 5, 6, 2], [1, 4, 5, 2]],
        "example": [0, 1],
    }


def test_predict_pools_each_layer_over_the_real_tokens(tokenizer, tmp_path):
    import torch
    from stiltgrid.modeling.batching import make_batch
    from stiltgrid.modeling.encoded import read_encoded, write_encoded

    rows = make_table(FAMILY.examples(TATOEBA, [pair("a b", "a b c d")], "de", "test"))
    write_encoded(FAMILY.encode(TATOEBA, rows, tokenizer, 8, training=False), tmp_path / "eval.arrow")
    batch = make_batch(read_encoded(tmp_path / "eval.arrow"), [0, 1], pad=0, special=[1, 2], pooling="mean")
    ids = batch.input_ids.float()
    hidden = [torch.stack([ids, ids * 0 + layer], dim=-1) for layer in range(3)]  # states: (token id, layer)
    first, second = FAMILY.predict(TATOEBA, None, hidden, batch)
    np.testing.assert_allclose(first, [[5.5, 0], [5.5, 1], [5.5, 2]])
    np.testing.assert_allclose(second, [[4.5, 0], [4.5, 1], [4.5, 2]])
    assert first.dtype == np.float32
    assert FAMILY.pooling_setting == "retrieval_pooling"


def test_it_cannot_be_trained():
    with pytest.raises(StiltgridError, match="'toy' is scored without a head"):
        FAMILY.build_head(TATOEBA, 4)
