"""The mini-lab's tasks: parallel, well-formed, balanced, with answers where they are said to be."""

from collections import Counter
from typing import Any

import pytest
from stiltgrid.data.sources.minilab import LANGUAGES, MiniLabSource, world_settings
from stiltgrid.data.sources.minilab.corpus import meanings
from stiltgrid.data.sources.minilab.inventory import CITIES, DAYS, GIVEN_NAMES, SURNAMES
from stiltgrid.data.sources.minilab.lexicon import transliterated
from stiltgrid.data.sources.minilab.realise import english_third_person, grammars
from stiltgrid.data.sources.minilab.registry import items_of
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks_passages import TOPICS
from stiltgrid.data.sources.minilab.tasks_span import Asked, fits
from stiltgrid.data.sources.minilab.world import Clause, Phrase, world_of
from stiltgrid.grid.cards import TaskCard

SMALL = {"documents": 200, "train_examples": 240, "eval_examples": 120}
SETTINGS = world_settings(SMALL)
SOURCE = MiniLabSource(SMALL)
NAMES = {
    transliterated(name, language.script)
    for name in (*GIVEN_NAMES, *SURNAMES, *CITIES)
    for language in LANGUAGES.values()
}


def rows(name: str, split: str, language: str = "en", part: str | None = None) -> list[dict[str, Any]]:
    return [dict(row.values) for row in SOURCE.read(TaskCard(name, "", "", "", (), "", 0), split, language, part)]


COLUMNS = {
    "mnli": ["premise", "hypothesis", "label", "idx"],
    "snli": ["premise", "hypothesis", "label"],
    "anli": ["uid", "premise", "hypothesis", "label", "reason"],
    "qqp": ["question1", "question2", "label", "idx"],
    "squad_v1": ["id", "title", "context", "question", "answers"],
    "hellaswag": [
        "ind",
        "activity_label",
        "ctx_a",
        "ctx_b",
        "ctx",
        "endings",
        "source_id",
        "split",
        "split_type",
        "label",
    ],
    "cosmos_qa": ["id", "context", "question", "answer0", "answer1", "answer2", "answer3", "label"],
    "commonsense_qa": ["id", "question", "question_concept", "choices", "answerKey"],
    "social_i_qa": ["context", "question", "answerA", "answerB", "answerC", "label"],
    "copa": ["premise", "choice1", "choice2", "question", "idx", "label"],
    "pawsx": ["id", "sentence1", "sentence2", "label"],
    "udpos": ["tokens", "pos_tags"],
    "panx": ["tokens", "ner_tags", "langs"],
    "ccg": ["tokens", "tags"],
    "sib200": ["index_id", "category", "text"],
    "masakhaner2": ["tokens", "ner_tags"],
    "belebele_train": [
        "split",
        "passage_id",
        "question_id",
        "passage",
        "question",
        "answer1",
        "answer2",
        "answer3",
        "answer4",
        "correct_answer",
        "correct_answer_num",
    ],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_of_the_real_data_set(name: str) -> None:
    assert list(rows(name, "train")[0]) == COLUMNS[name]


@pytest.mark.parametrize(
    ("name", "label", "labels"),
    [
        ("mnli", "label", [0, 1, 2]),
        ("snli", "label", [0, 1, 2]),
        ("anli", "label", [0, 1, 2]),
        ("qqp", "label", [0, 1]),
        ("pawsx", "label", [0, 1]),
        ("hellaswag", "label", ["0", "1", "2", "3"]),
        ("cosmos_qa", "label", [0, 1, 2, 3]),
        ("social_i_qa", "label", ["1", "2", "3"]),
        ("copa", "label", [0, 1]),
        ("commonsense_qa", "answerKey", list("ABCDE")),
        ("sib200", "category", sorted(TOPICS.values())),
        ("belebele_train", "correct_answer_num", [1, 2, 3, 4]),
    ],
)
def test_labels_are_balanced(name: str, label: str, labels: list[Any]) -> None:
    for split in ("train", "dev"):
        counts = Counter(row[label] for row in rows(name, split))
        assert sorted(counts) == labels
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize(
    ("name", "label"),
    [("xnli", "label"), ("pawsx", "label"), ("xcopa", "label"), ("afrixnli", "label"), ("americasnli", "label"),
     ("indicxnli", "label"), ("sib200", "category"), ("belebele", "correct_answer_num"), ("include44", "answer")],
)  # fmt: skip
def test_evaluation_sets_are_parallel(name: str, label: str) -> None:
    english = rows(name, "test")
    for code in LANGUAGES:
        assert [row[label] for row in rows(name, "test", code)] == [row[label] for row in english]


def test_tydiqa_is_not_parallel_and_has_training_rows_in_every_language() -> None:
    asked = {code: [row["answers"]["answer_start"] for row in rows("tydiqa", "train", code)] for code in LANGUAGES}
    assert len({str(starts) for starts in asked.values()}) == len(LANGUAGES)


@pytest.mark.parametrize("name", ["xquad", "mlqa", "tydiqa"])
@pytest.mark.parametrize("code", LANGUAGES)
def test_answers_stand_at_their_offsets(name: str, code: str) -> None:
    for row in rows(name, "test", code):
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
            assert text
            assert row["context"][start : start + len(text)] == text


@pytest.mark.parametrize("name", ["squad_v1", "squad_v2"])
def test_exactly_the_answerable_questions_have_one_fitting_event(name: str) -> None:
    unanswerable = 0
    for item in items_of(SETTINGS, name, "train"):
        opening, question = item.detail
        hits = [index for index, event in enumerate(item.clauses[:-1]) if fits(event, question)]
        assert hits == ([] if question.answer is None else [question.answer])
        unanswerable += question.answer is None
    assert unanswerable == (
        0
        if name == "squad_v1"
        else len(items_of(SETTINGS, name, "train")) // 3 + (len(items_of(SETTINGS, name, "train")) % 3 > 0)
    )


def test_an_event_fits_only_a_question_whose_other_roles_it_has() -> None:
    event = Clause("verb.thing:buy", Phrase("given:Anna"), Phrase("noun.food:apple"), Phrase("place:market"))
    asked = event._replace(object=Phrase("noun.food:cake"))
    assert fits(event, Asked(asked, "object", 0))
    assert not fits(event, Asked(asked, "subject", 0))
    assert not fits(event, Asked(event, "time", 0))


@pytest.mark.parametrize("name", ["hellaswag", "cosmos_qa", "social_i_qa", "copa"])
def test_only_the_right_choice_follows_or_precedes(name: str) -> None:
    world = world_of(SETTINGS)
    told = {"hellaswag": 2, "cosmos_qa": 2, "social_i_qa": 1, "copa": 1}[name]
    for item in items_of(SETTINGS, name, "train"):
        if name == "hellaswag":
            wanted = world.next[item.clauses[1].verb]
        elif name == "cosmos_qa":
            wanted = world.previous[item.clauses[item.detail].verb]
        else:
            wanted = (world.previous if item.detail == "cause" else world.next)[item.clauses[0].verb]
        choices = item.clauses[told:]
        assert [index for index, choice in enumerate(choices) if choice.verb == wanted] == [item.label]
        assert len({choice.subject for choice in choices}) == 1


def test_wrong_homes_and_kinds_are_wrong() -> None:
    world = world_of(SETTINGS)
    for item in items_of(SETTINGS, "commonsense_qa", "train"):
        asked, options = item.detail
        assert len(set(options)) == 5
        if asked == "place":
            thing = item.clauses[0].object
            assert thing is not None
            assert [index for index, place in enumerate(options) if world.home[thing.head] == place] == [item.label]
        else:
            assert [index for index, noun in enumerate(options) if world.category[noun] == asked] == [item.label]


def test_belebeles_options_are_in_the_passage_and_one_answers() -> None:
    for split, name in (("train", "belebele_train"), ("test", "belebele")):
        for item in items_of(SETTINGS, name, split):
            question, order = item.detail
            assert sorted(order) == [0, 1, 2, 3] and order[item.label] == question.answer
            hits = [index for index, event in enumerate(item.clauses[:-1]) if fits(event, question)]
            assert hits == [question.answer]
    for code in LANGUAGES:
        for row in rows("belebele", "test", code):
            options = [row[f"mc_answer{number}"] for number in range(1, 5)]
            assert len(set(options)) == 4
            assert all(option in row["flores_passage"] for option in options)


def test_a_topic_is_what_the_sentence_is_about() -> None:
    world = world_of(SETTINGS)
    for item in items_of(SETTINGS, "sib200", "test"):
        (event,) = item.clauses
        assert event.object is not None
        kind = world.category.get(event.object.head, "class:person").partition(":")[2]
        assert list(TOPICS)[item.label] == kind


def test_dates_are_entities_of_masakhaner_alone() -> None:
    tags = {name: {tag for row in rows(name, "test") for tag in row["ner_tags"]} for name in ("panx", "masakhaner2")}
    assert tags["masakhaner2"] - tags["panx"] == {"B-DATE"}
    for row in rows("masakhaner2", "test"):
        for token, tag in zip(row["tokens"], row["ner_tags"], strict=True):
            assert (tag == "B-DATE") == (token.isdigit() or token in DAYS), (token, tag)


@pytest.mark.parametrize("name", ["tatoeba", "lareqa", "bucc2018"])
def test_retrieval_items_hold_no_names_and_no_numbers(name: str) -> None:
    for split in {"tatoeba": ["test"], "lareqa": ["test"], "bucc2018": ["dev", "test"]}[name]:
        for item in items_of(SETTINGS, name, split):
            for clause in item.clauses:
                phrases = [phrase for phrase in (clause.subject, clause.object, clause.place) if phrase]
                kinds = {phrase.head.partition(":")[0] for phrase in phrases}
                assert not kinds & {"given", "surname", "city", "year", "organisation"}
                assert not clause.time


def test_texts_of_retrieval_hold_no_names_and_no_digits() -> None:
    texts = [row["source_sentence"] for code in list(LANGUAGES)[1:] for row in rows("tatoeba", "test", code)]
    texts += [row["sentence"] for code in LANGUAGES for row in rows("bucc2018", "test", code, "pool")]
    texts += [row["context"] for code in LANGUAGES for row in rows("lareqa", "test", code, "candidates")]
    texts += [row["description"] for row in rows("mewslix", "test", "en", "candidates")]
    words = {word.strip(".,?") for text in texts for word in text.split()}
    assert not words & NAMES
    assert not any(character.isdigit() for word in words for character in word)


def test_tatoeba_sentences_are_all_different() -> None:
    for code in list(LANGUAGES)[1:]:
        texts = [row["source_sentence"] for row in rows("tatoeba", "test", code)]
        assert len(set(texts)) == len(texts)


def test_bucc_gold_pairs_are_translations_and_the_rest_has_none() -> None:
    items = items_of(SETTINGS, "bucc2018", "test")
    grammar = grammars(SETTINGS)
    meaning = {
        code: {grammar[code].say(*item.clauses): item for item in items if item.detail != skipped}
        for code, skipped in (("en", "foreign"), ("qad", "en"))
    }
    pools = {
        code: {row["id"]: row["sentence"] for row in rows("bucc2018", "test", code, "pool")} for code in ("en", "qad")
    }
    gold = {row["source_id"]: row["target_id"] for row in rows("bucc2018", "test", "qad", "gold")}
    assert 0.2 < len(gold) / len(pools["qad"]) < 0.5
    for name, sentence in pools["qad"].items():
        here = meaning["qad"][sentence]
        if name in gold:
            assert meaning["en"][pools["en"][gold[name]]] is here
        else:
            assert grammar["en"].say(*here.clauses) not in pools["en"].values()


def test_bucc_has_near_misses() -> None:
    items = items_of(SETTINGS, "bucc2018", "test")
    both = [item.clauses[0] for item in items if item.detail == "both"]
    alone = [item.clauses[0] for item in items if item.detail == "foreign"]

    def shared(one: Clause, other: Clause) -> int:
        return sum(getattr(one, slot) == getattr(other, slot) for slot in ("verb", "subject", "object", "place"))

    near = sum(max(shared(clause, other) for other in both) == 3 for clause in alone)
    assert near > len(alone) / 3


def test_lareqa_answers_are_candidates_in_the_same_language() -> None:
    for code in ("en", "qag"):
        known = {row["candidate_id"] for row in rows("lareqa", "test", code, "candidates")}
        for row in rows("lareqa", "test", code, "questions"):
            assert len(row["answer_candidate_ids"]) == 1
            assert set(row["answer_candidate_ids"]) <= known


def test_mewslix_mentions_stand_at_their_offsets_and_surnames_are_ambiguous() -> None:
    for code in LANGUAGES:
        for row in rows("mewslix", "test", code, "mentions"):
            span = row["mentions"][0]["mention_span"]
            assert row["context"]["text"][span["start"] : span["end"]] == span["text"]
    surnames = Counter(item.detail[1] for item in items_of(SETTINGS, "mewslix", "test"))
    assert min(surnames.values()) > 1
    entities = {row["entity_id"] for row in rows("mewslix", "test", "en", "candidates")}
    found = rows("mewslix", "test", "qaf", "mentions")
    assert {row["mentions"][0]["entity_id"] for row in found} <= entities


@pytest.mark.parametrize("code", LANGUAGES)
def test_tags_are_as_many_as_tokens(code: str) -> None:
    for name, column in (("udpos", "pos_tags"), ("panx", "ner_tags")):
        for row in rows(name, "test", code):
            assert len(row["tokens"]) == len(row[column]) > 1


def test_supertags_of_a_known_sentence() -> None:
    grammar = grammars(SETTINGS)["en"]
    clause = Clause("verb.food:eat", Phrase("job:baker"), Phrase("noun.food:apple", "adjective:old"), negated=True)
    tokens = grammar.sentence(clause)
    assert [(token.text, token.category) for token in tokens] == [
        ("the", "NP/N"),
        ("baker", "N"),
        ("does", "(S[dcl]\\NP)/(S[b]\\NP)"),
        ("not", "(S\\NP)\\(S\\NP)"),
        ("eat", "(S[b]\\NP)/NP"),
        ("the", "NP/N"),
        ("old", "N/N"),
        ("apple", "N"),
        (".", "."),
    ]


@pytest.mark.parametrize(
    ("code", "order"),
    [("en", "SVO"), ("qab", "SVO"), ("qad", "SOV"), ("qae", "SOV"), ("qaf", "VSO"), ("qag", "SOV"), ("qah", "SVO")],
)
def test_word_order_is_that_of_the_table(code: str, order: str) -> None:
    clause = Clause("verb.food:eat", Phrase("job:baker"), Phrase("noun.food:apple"))
    found = [token.slot[0].upper() for token in grammars(SETTINGS)[code].clause(clause) if token.core]
    assert "".join(found) == order
    assert LANGUAGES[code].order == order


def test_surnames_look_like_cities() -> None:
    tags: dict[str, set[str]] = {}
    for row in rows("panx", "train"):
        for token, tag in zip(row["tokens"], row["ner_tags"], strict=True):
            tags.setdefault(token, set()).add(tag)
    assert any({"B-LOC", "B-PER"} <= found for found in tags.values())
    assert set(CITIES) & set(SURNAMES)


@pytest.mark.parametrize(
    ("stem", "form"), [("eat", "eats"), ("carry", "carries"), ("push", "pushes"), ("buy", "buys"), ("teach", "teaches")]
)
def test_english_verbs_in_the_third_person(stem: str, form: str) -> None:
    assert english_third_person(stem) == form


def test_mewslix_is_drawn_to_its_end_at_the_default_seed() -> None:
    """Its small pools hold no habit that some surname and trade share: once, drawing such a pair never ended."""
    settings = world_settings({})
    assert all(len(items_of(settings, "mewslix", split)) == settings.eval_examples for split in ("dev", "test"))


@pytest.mark.parametrize("name", ["mnli", "snli"])
def test_premises_are_as_long_and_as_often_negated_under_every_label(name: str) -> None:
    items = items_of(world_settings({"train_examples": 3000}), name, "train")
    said = {label: [item.clauses[0] for item in items if item.label == label] for label in (0, 1, 2)}
    for feature in (lambda clause: bool(clause.place), lambda clause: bool(clause.time), lambda clause: clause.negated):
        shares = [sum(map(feature, clauses)) / len(clauses) for clauses in said.values()]
        assert max(shares) - min(shares) < 0.12, shares


def test_stories_ask_about_what_was_told_before() -> None:
    world = world_of(world_settings(SMALL))
    stories = [meanings(world, Stream("stories", index)) for index in range(200)]
    gaps = [
        place - max(index for index in range(place) if story[index][1][0].key == line[1][0].key)
        for story in stories
        for place, line in enumerate(story)
        if line[0] == "question" and any(story[index][1][0].key == line[1][0].key for index in range(place))
    ]
    assert max(gaps) >= 4
    assert sum(gap > 1 for gap in gaps) > len(gaps) / 4
