"""Extractive answering: windows lose nothing, answers are cut by characters, no answer is an answer."""

import math
import unicodedata

import numpy as np
import pytest
import torch
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.windows import Spans, most_context, windows
from stiltgrid.utils.errors import RowError

FIELDS = {"id": "id", "context": "context", "question": "question", "answers": "answers"}


def row(name, context, question, *answers):
    return {
        "id": name,
        "context": context,
        "question": question,
        "answers": {"text": list(answers), "answer_start": [context.index(answer) for answer in answers]},
    }


ENGLISH = row(
    "en",
    "The old lighthouse stands on a cliff above the harbour, and its lamp turns all night.",
    "What turns all night?",
    "its lamp",
)
CHINESE = row("zh", "老灯塔建于一八七四年，站在港口上方的悬崖上，灯整夜转动。", "老灯塔建于哪一年？", "一八七四年")
THAI = row("th", "ประภาคารเก่าตั้งอยู่บนหน้าผาเหนือท่าเรือและหมุนตลอดคืน", "ประภาคารหมุนเมื่อไร", "หมุนตลอดคืน")
JAPANESE = row(
    "ja",
    "古い灯台は港の上の崖に立っています。ﾗﾝﾌﾟは一晩中回ります。",  # NFKC makes ﾌﾟ one character
    "灯台はどこに立っていますか。",
    "一晩中回ります",
)
ROWS = [ENGLISH, CHINESE, THAI, JAPANESE]
FILLER = "The boats are blue and the villagers sell bread. " * 12
NO_ANSWER = {**ENGLISH, "id": "none", "question": "Who sells honey?", "answers": {"text": [], "answer_start": []}}


def gold_states(batch):
    """Start and end scores that point at the first answer, or weakly at the first token without one."""
    states = torch.zeros(*batch.input_ids.shape, 2)
    rows = torch.arange(len(batch))
    strength = torch.where(batch.scalars["start"] > 0, 9.0, 3.0)
    states[rows, batch.scalars["start"], 0] = strength
    states[rows, batch.scalars["end"], 1] = strength
    return states


def make(tools, tokenizer, rows, **more):
    return tools.Bench(tools.card("span", FIELDS, **{"max_length": 128, **more}), rows, tokenizer)


def test_question_comes_first_and_positions_point_at_the_answer(tools, tiny_tokenizer):
    bench = make(tools, tiny_tokenizer, [ENGLISH])
    question, context = tiny_tokenizer.ids([ENGLISH["question"], ENGLISH["context"]])
    assert bench.ids(0).tolist() == [0, *question, 2, 2, *context, 2]
    start, end = (bench.encoded.scalars[name][0] for name in ("start", "end"))
    begin, stop = bench.encoded.tokens["char_start"][start], bench.encoded.tokens["char_end"][end]
    assert ENGLISH["context"][begin:stop].strip() == "its lamp"


def test_character_positions_lie_on_the_context_alone(tools, tiny_tokenizer):
    bench = make(tools, tiny_tokenizer, [CHINESE])
    inside = bench.encoded.tokens["char_end"] >= 0
    question, context = tiny_tokenizer.ids([CHINESE["question"], CHINESE["context"]])
    assert inside.tolist() == [False] * (len(question) + 3) + [True] * len(context) + [False]
    assert bench.encoded.tokens["char_end"].max() == len(CHINESE["context"])


@pytest.mark.parametrize("max_length", [60, 128])
def test_answers_survive_the_round_trip_in_every_script(tools, tiny_tokenizer, max_length):
    rows = [
        *ROWS,
        row("late", FILLER + ENGLISH["context"], "What turns?", "lamp"),
        row("early", "Its lamp turns. " + FILLER, "What turns?", "lamp"),
    ]
    bench = make(tools, tiny_tokenizer, rows, max_length=max_length)
    assert bench.encoded.lengths.max() <= max_length
    predictions = bench.decode(gold_states)
    assert predictions.column("prediction").to_pylist() == [item["answers"]["text"][0] for item in rows]
    assert bench.measured(predictions) == {"f1": 100, "exact_match": 100}


@pytest.mark.parametrize(
    ("length", "room", "stride"),
    [
        (1000, 316, 128),
        (317, 316, 128),
        (400, 130, 128),
        (100, 30, 128),
        (77, 45, 10),
        (5, 10, 3),
        (50, 7, 9),
    ],
)
def test_windows_cover_every_token_and_let_every_short_answer_start_where_it_is_whole(length, room, stride):
    cut = windows(length, room, stride, longest_answer=30)
    assert cut[0].start == 0 and cut[-1].stop == length
    assert all(window.stop - window.start <= room for window in cut)
    starts_in = np.full(length, -1)
    for number, (window, mine) in enumerate(zip(cut, most_context(cut, length), strict=True)):
        assert (starts_in[window.start : window.stop][mine] == -1).all()
        starts_in[window.start : window.stop][mine] = number
    assert (starts_in >= 0).all()
    longest = min(30, room // 4)
    for first in range(length - longest + 1):
        assert first + longest <= cut[starts_in[first]].stop


def test_strides_of_the_usual_size_are_kept():
    assert [window.start for window in windows(1000, 316, 128, 30)] == [0, 128, 256, 384, 512, 640, 768]
    assert windows(300, 188, 128, 30)[1].start == 128  # 256 tokens less the longest question


def test_each_token_starts_answers_in_the_window_with_most_context():
    cut = windows(10, 6, 4, longest_answer=1)
    assert [(window.start, window.stop) for window in cut] == [(0, 6), (4, 10)]
    # Tokens 4 and 5 have 1 and 0 tokens to the right in the first window, 0 and 1 to the left in the second
    first, second = most_context(cut, 10)
    assert first.tolist() == [True] * 5 + [False]
    assert second.tolist() == [False] + [True] * 5


def test_spans_that_sub_tokens_share():
    # "▁", "灯" over one character; then one character in three bytes; then "塔。"
    spans = Spans(np.array([0, 0, 1, 1, 1, 2]), np.array([1, 1, 2, 2, 2, 4]))
    assert spans.tokens_of(0, 1) == (0, 1)
    assert spans.tokens_of(1, 2) == (2, 4)
    assert spans.tokens_of(2, 3) == (5, 5)
    assert spans.tokens_of(0, 4) == (0, 5)


def test_windows_without_the_answer_point_at_the_first_token(tools, tiny_tokenizer):
    bench = make(
        tools, tiny_tokenizer, [row("late", FILLER + "The lamp turns.", "What turns?", "The lamp")], max_length=60
    )
    starts, ends = bench.encoded.scalars["start"], bench.encoded.scalars["end"]
    assert len(bench.encoded) > 3
    assert starts[0] == ends[0] == 0
    assert starts[-1] > 0 and ends[-1] >= starts[-1]


def test_training_files_hold_no_character_positions(tools, tiny_tokenizer):
    bench = make(tools, tiny_tokenizer, ROWS)
    training = tools.Bench(bench.card, ROWS, tiny_tokenizer, training=True)
    assert set(training.encoded.tokens) == {"input_ids"}
    assert set(bench.encoded.tokens) == {"input_ids", "char_start", "char_end", "may_start"}
    assert training.encoded.scalars["start"].tolist() == bench.encoded.scalars["start"].tolist()


def test_long_questions_are_cut(tools, tiny_tokenizer):
    asked = {**ENGLISH, "question": "What turns all night? " * 30}
    question = tiny_tokenizer.ids([asked["question"]])[0]
    bench = make(tools, tiny_tokenizer, [asked], options={"max_query_length": 10})
    assert bench.ids(0)[:13].tolist() == [0, *question[:10], 2, 2]
    narrow = make(tools, tiny_tokenizer, [asked], max_length=40)
    assert narrow.ids(0)[:21].tolist() == [0, *question[:18], 2, 2]


def test_the_best_span_is_in_order_and_short_enough(tools, tiny_tokenizer):
    def states(batch):
        hidden = torch.zeros(*batch.input_ids.shape, 2)
        first = int(torch.nonzero(batch.tokens["char_end"] >= 0)[0])
        hidden[0, first + 9, 0] = 5  # the best start ...
        hidden[0, first + 1, 1] = 5  # ... comes after the best end
        hidden[0, first + 12, 1] = 2
        hidden[0, 3, :] = 50  # the question is no answer
        return hidden

    for longest, score in ((30, 7), (4, 7), (3, 5)):
        bench = make(tools, tiny_tokenizer, [ENGLISH], options={"max_answer_length": longest})
        begin = int(np.flatnonzero(bench.encoded.tokens["char_end"] >= 0)[0]) + 9
        output = bench.family.predict(bench.card, tools.Readout(), states(bench.batch()), bench.batch())[0]
        assert output.shape == (21, 3)
        assert output[1, 0] == score
        assert (np.diff(output[1:, 0]) <= 0).all()
        assert (output[1:, 1] <= output[1:, 2]).all()
        if longest > 3:
            characters = bench.encoded.tokens["char_start"][begin], bench.encoded.tokens["char_end"][begin + 3]
            assert tuple(output[1, 1:]) == characters


def test_loss_is_the_mean_of_start_and_end_over_real_tokens(tools, tiny_tokenizer):
    bench = make(tools, tiny_tokenizer, [ENGLISH, CHINESE])
    batch = bench.batch()
    loss = bench.family.loss(bench.card, tools.Readout(), torch.zeros(*batch.input_ids.shape, 2), batch)
    assert loss.item() == pytest.approx(sum(math.log(length) for length in bench.encoded.lengths), abs=1e-4)
    assert bench.family.loss_weight(bench.encoded.scalars, {}, 2) == 2


def test_mlqa_scores_by_language(tools, tiny_tokenizer):
    answer = row("zh", "灯塔建于一八七四年。", "何时？", "一八七四年")
    # MLQA compares characters: 3 of 5 found, all 3 predicted ones right. SQuAD's script sees one wrong word.
    for options, f1 in (({}, 0), ({"normalisation": "mlqa"}, 100 * 2 * 3 / (3 + 5))):
        card = tools.card("span", FIELDS, options=options)
        bench = tools.Bench(card, [answer], tiny_tokenizer, language="zh")
        begin = answer["context"].index("一八七")
        output = np.full((21, 3), -np.inf)
        output[0, 0], output[1] = 0, (1, begin, begin + 3)
        predictions = bench.family.decode(card, [output], bench.encoded.scalars, bench.rows, {})
        assert predictions.column("prediction").to_pylist() == ["一八七"]
        measured = bench.measured(predictions)
        assert measured == {"f1": pytest.approx(f1), "exact_match": 0}


def test_white_space_alone_is_no_answer(tools, tiny_tokenizer):
    bench = make(tools, tiny_tokenizer, [ENGLISH])
    output = np.full((21, 3), -np.inf)
    output[0, 0], output[1], output[2] = 0, (9, 3, 4), (8, 3, 18)
    predictions = bench.family.decode(bench.card, [output], bench.encoded.scalars, bench.rows, {})
    assert predictions.column("prediction").to_pylist() == ["old lighthouse"]


def test_unanswerable_questions_have_a_null_threshold(tools, tiny_tokenizer):
    rows = [ENGLISH, NO_ANSWER, {**NO_ANSWER, "id": "tempting"}]
    margins = {"en": -2.0, "none": 3.0, "tempting": -1.0}

    def decode(threshold):
        options = {"null_answers": True, "null_threshold": threshold}
        bench = make(tools, tiny_tokenizer, rows, options=options)
        begin = ENGLISH["context"].index("its lamp")
        outputs = []
        for margin in margins.values():
            output = np.full((21, 3), -np.inf)
            output[0, 0], output[1] = margin + 5, (5, begin, begin + 8)
            outputs.append(output)
        predictions = bench.family.decode(bench.card, outputs, bench.encoded.scalars, bench.rows, {})
        return predictions, bench.measured(predictions)

    predictions, measured = decode(0.0)
    assert predictions.column("prediction").to_pylist() == ["its lamp", "", "its lamp"]
    assert predictions.column("null_margin").to_pylist() == list(margins.values())
    assert measured["f1"] == pytest.approx(200 / 3)
    assert measured["best_f1"] == measured["best_exact_match"] == 100  # between -2 and -1
    assert (measured["has_answer_f1"], measured["no_answer_accuracy"]) == (100, 50)
    assert decode(-1.5)[1]["f1"] == 100


def test_the_null_score_is_the_lowest_of_the_windows(tools, tiny_tokenizer):
    bench = make(
        tools,
        tiny_tokenizer,
        [row("late", FILLER + "The lamp turns.", "What turns?", "The lamp")],
        max_length=60,
        options={"null_answers": True},
    )
    predictions = bench.decode(gold_states)
    # Windows without the answer say 6 for "none", the one with it 0 for "none" and 18 for the answer
    assert predictions.column("null_margin").to_pylist() == [-18]
    assert predictions.column("prediction").to_pylist() == ["The lamp"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"answers": {"text": ["its lamp"], "answer_start": [3]}},
            "line 1: expected the answer 'its lamp' at character 3 of the context, found ' old lig'",
        ),
        ({"answers": {"text": ["its lamp"], "answer_start": [-20]}}, "line 1: expected the answer"),
        ({"answers": {"text": ["its lamp"], "answer_start": []}}, "line 1: .*1 texts and 0 starts"),
        ({"answers": {"text": [], "answer_start": []}}, "line 1: a question without an answer; .*null_answers"),
        ({"answers": {"text": [" "], "answer_start": [3]}}, "line 1: .*empty text"),
        ({"question": ""}, "line 1: field 'question' is empty"),
    ],
)
def test_bad_rows_are_named(tools, change, message):
    with pytest.raises(RowError, match=message):
        family("span").examples(tools.card("span", FIELDS), tools.rows([{**ENGLISH, **change}]), "en", "dev")


def test_misplaced_answers_can_be_dropped_or_found(tools):
    rows = tools.rows([{**ENGLISH, "answers": {"text": ["the"], "answer_start": [41]}}, CHINESE])

    def examples(rule):
        card = tools.card("span", FIELDS, options={"misplaced_answers": rule})
        return family("span").examples(card, rows, "en", "dev")

    assert [item["id"] for item in examples("drop")] == ["zh"]
    assert examples("find")[0]["answer_starts"] == [ENGLISH["context"].index("the harbour")]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("Yesterday René came.", "René"),
        ("老灯塔 Việt 港", "Việt"),
        ("한국어 text", "한국어"),
        ("ё ещё Ёлка", "ещё"),
        ("हिन्दी क़लम", "क़लम"),
        ("港のﾗﾝﾌﾟ", "ﾗﾝﾌﾟ"),
    ],
)
def test_an_answer_ends_with_its_accents_in_both_normal_forms(tools, tiny_tokenizer, context, answer, form):
    context, answer = (unicodedata.normalize(form, item) for item in (context, answer))
    rows = [row("accents", context, "Who?", answer)]
    bench = make(tools, tiny_tokenizer, rows)
    predictions = bench.decode(gold_states)
    assert predictions.column("prediction").to_pylist()[0].endswith(answer)
