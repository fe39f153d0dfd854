"""The mini-lab's world: the same everywhere, peaked, and with propositions that stay in their pool."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stiltgrid.data.sources.minilab import (
    LANGUAGES,
    MiniLabSource,
    planted_relations,
    world_languages,
    world_settings,
)
from stiltgrid.data.sources.minilab.corpus import documents, meanings
from stiltgrid.data.sources.minilab.languages import distance, features
from stiltgrid.data.sources.minilab.realise import grammars
from stiltgrid.data.sources.minilab.registry import BUILDERS, items_of
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks import in_pool
from stiltgrid.data.sources.minilab.world import World, pool_of, world_of
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import ConfigError, SourceError

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"documents": 300, "train_examples": 60, "eval_examples": 30}
SPLITS = [(name, split) for name, builder in BUILDERS.items() for split in builder.parts]


def card(name: str) -> TaskCard:
    return TaskCard(name, "", "", "", (), "", 0)


def digest_of_everything() -> str:
    """A digest of every row and document of a small world, made in a fresh process."""
    script = (
        "import hashlib, json\n"
        "from stiltgrid.grid.cards import TaskCard\n"
        "from stiltgrid.data.sources.minilab import MiniLabSource\n"
        "from stiltgrid.data.sources.minilab.registry import BUILDERS\n"
        f"source = MiniLabSource({json.dumps(SMALL)!s})\n"
        "digest = hashlib.sha256()\n"
        "for name in BUILDERS:\n"
        "    card = TaskCard(name, '', '', '', (), '', 0)\n"
        "    for split, parts in BUILDERS[name].parts.items():\n"
        "        for part in parts or (None,):\n"
        "            for code in ('en', 'qad', 'qag'):\n"
        "                if source.has(card, split, code):\n"
        "                    for row in source.read(card, split, code, part):\n"
        "                        digest.update(json.dumps(row.values, ensure_ascii=False).encode())\n"
        "for code in source.settings.languages:\n"
        "    digest.update('\\n'.join(source.text(code)).encode())\n"
        "print(digest.hexdigest())\n"
    )
    return script


def run_with_hash_seed(seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "workflow_scripts")}
    done = subprocess.run(
        [sys.executable, "-c", digest_of_everything()], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_worlds_are_the_same_in_every_process_and_for_every_hash_seed() -> None:
    assert run_with_hash_seed("0") == run_with_hash_seed("12345")


def test_order_of_reading_changes_nothing() -> None:
    forwards, backwards = MiniLabSource({**SMALL, "seed": 3}), MiniLabSource({**SMALL, "seed": 3})
    names = ["mnli", "squad_v1", "panx"]
    first = {name: [row.values for row in forwards.read(card(name), "train", "en")] for name in names}
    items_of.cache_clear()
    second = {name: [row.values for row in backwards.read(card(name), "train", "en")] for name in reversed(names)}
    assert first == second


def test_another_seed_is_another_world() -> None:
    one, other = (MiniLabSource({**SMALL, "seed": seed}) for seed in (1, 2))
    assert list(one.text("qaa")) != list(other.text("qaa"))


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_no_proposition_of_a_task_leaves_its_pool(name: str, split: str) -> None:
    for item in items_of(world_settings(SMALL), name, split, "" if BUILDERS[name].parallel else "qad"):
        for clause in item.clauses:
            assert in_pool(clause, split), f"{name}/{split}: {clause}"


def test_pretraining_tells_only_propositions_of_the_training_pool() -> None:
    world = world_of(world_settings(SMALL))
    told = set()
    for code in LANGUAGES:
        for index in range(300):
            for _, clauses, _ in meanings(world, Stream(world.settings.seed, "corpus", code, index)):
                told.update(clause.key for clause in clauses if not clause.general)
    assert len(told) > 1000
    assert {pool_of(key) for key in told} == {"train"}


@pytest.mark.parametrize("name", ["tatoeba", "xnli", "xquad", "xcopa", "pawsx", "udpos"])
def test_no_english_test_sentence_is_in_the_pretraining_text(name: str) -> None:
    settings = {**SMALL, "documents": 3000}
    source = MiniLabSource(settings)
    text = "\n".join(source.text("en"))
    items = items_of(world_settings(settings), name, "test")
    english = grammars(world_settings(settings))["en"]
    for item in items:
        for clause in item.clauses:
            assert clause.general or english.say(clause) not in text


def test_swapping_participants_stays_in_the_pool() -> None:
    assert pool_of(("verb.person:help", "job:baker", "given:Anna")) == pool_of(
        ("verb.person:help", "given:Anna", "job:baker")
    )


def test_knowledge_is_peaked() -> None:
    world = world_of(world_settings({}))
    stream = Stream("test", "peak")
    typical = total = 0
    for _ in range(3000):
        event = world.event(stream, "train", verb="verb.thing:buy")
        if event is not None and event.object is not None:
            total += 1
            typical += event.object.head in world.preferred["verb.thing:buy"]
    assert 0.5 < typical / total < 0.8  # two things of 36; with flat knowledge this would be 0.06


def test_every_verb_has_one_successor_and_one_predecessor() -> None:
    world = world_of(world_settings({}))
    assert sorted(world.next) == sorted(world.next.values()) == sorted(world.verbs)
    assert all(world.previous[after] == before for before, after in world.next.items())


def test_size_is_one_number_away() -> None:
    small, large = world_settings({**SMALL, "scale": 1}), world_settings({**SMALL, "scale": 10})
    assert len(World(large).concepts) > 9 * len(World(small).concepts)
    one, ten = MiniLabSource({**SMALL, "documents": 30}), MiniLabSource({**SMALL, "documents": 30, "scale": 10})
    assert len(list(ten.text("en"))) in range(9 * len(list(one.text("en"))), 11 * len(list(one.text("en"))) + 1)
    assert len(list(ten.read(card("qqp"), "train", "en"))) == 10 * len(list(one.read(card("qqp"), "train", "en")))
    assert len(list(ten.read(card("qqp"), "dev", "en"))) == len(list(one.read(card("qqp"), "dev", "en")))


def test_languages_are_a_table_that_others_can_read() -> None:
    assert world_languages({}) == tuple(LANGUAGES)
    assert world_languages({"languages": ["qad", "en"]}) == ("en", "qad")
    assert distance("en") == 0
    assert distance("qaa") == min(distance(code) for code in LANGUAGES if code != "en")
    assert {len(features(code)) for code in LANGUAGES} == {len(features("en"))}
    assert features("qad")["order=SOV"] == 1.0


def test_low_resource_language_has_less_text() -> None:
    source = MiniLabSource({**SMALL, "documents": 900})
    assert len(list(source.text("qah"))) == pytest.approx(0.4 * len(list(source.text("qaa"))), abs=1)


def test_planted_relations_name_real_tasks() -> None:
    relations = planted_relations()
    assert relations["mnli"]["targets"] == ("xnli", "afrixnli", "americasnli", "indicxnli")
    assert "pawsx" in relations["qqp"]["targets"]
    assert {target for found in relations.values() for target in found["targets"]} <= set(BUILDERS)


def test_unknown_settings_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="documents"):
        world_settings({"document": 3})
    with pytest.raises(ConfigError, match="a number was expected"):
        world_settings({"documents": "many"})
    with pytest.raises(ConfigError, match="did you mean 'qah'"):
        world_settings({"languages": ["en", "qax"]})


def test_what_is_not_there_is_refused() -> None:
    source = MiniLabSource(SMALL)
    with pytest.raises(SourceError, match="no test rows in 'qaa'"):
        list(source.read(card("mnli"), "test", "qaa"))
    with pytest.raises(SourceError, match="no text in 'de'"):
        list(source.text("de"))
    assert not source.has(card("tatoeba"), "test", "en")
    assert not source.has(card("ccg"), "train", "qaa")


def test_glosses_and_bilingual_documents_are_in_the_text() -> None:
    settings = world_settings({**SMALL, "glossed": 0.0, "code_switched": 0.0, "bilingual": 0.0})
    plain = list(documents(world_of(settings), grammars(settings)["qac"]))
    mixed = list(MiniLabSource(SMALL).text("qac"))
    assert not any("(" in text for text in plain)
    assert not any(" the " in text for text in plain)
    assert any("(" in text for text in mixed)
    assert any(" the " in text for text in mixed)
