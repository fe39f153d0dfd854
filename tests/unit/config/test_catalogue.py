"""Promises about every card, and the lists and numbers of the published benchmarks."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from stiltgrid.config.card_checks import card_problems, hub_problems
from stiltgrid.config.card_loading import card_from
from stiltgrid.config.overlays import merge
from stiltgrid.config.schema import Schemas
from stiltgrid.data import adapters
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.strict_yaml import read_yaml

ROOT = Path(__file__).parents[3]
PATHS = sorted((ROOT / "tasks").glob("*.yaml"))
CONTENTS: dict[str, Any] = {path.stem: read_yaml(path) for path in PATHS}
CARDS = {name: card_from(name, content) for name, content in CONTENTS.items()}
SCHEMAS = Schemas(ROOT / "schemas")

# google-research/xtreme, evaluate.py at 838c13b; XQuAD-R's languages for LAReQA, whose list there is empty.
XTREME = {
    "pawsx": "de en es fr ja ko zh",
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "panx": "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh "
    "kk tr et fi hu",
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh",
    "bucc2018": "de fr ru zh",
    "tatoeba": "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw zh kk tr et "
    "fi hu",
    "xquad": "en es de el ru tr ar vi th zh hi",
    "mlqa": "en es de ar hi vi zh",
    "tydiqa": "en ar bn fi id ko ru sw te",
}
XTREME_R = {
    "xnli": XTREME["xnli"],
    "mlqa": XTREME["mlqa"],
    "tydiqa": XTREME["tydiqa"],
    "panx": XTREME["panx"] + " qu pl uk az lt pa gu ro",
    "udpos": XTREME["udpos"] + " lt pl uk wo ro",
    "tatoeba": XTREME["tatoeba"] + " az lt pl uk ro",
    "xquad": XTREME["xquad"] + " ro",
    "xcopa": "et ht id it qu sw ta th tr vi zh",
    "mewslix": "ar de en es fa ja pl ro ta tr uk",
    "lareqa": "ar de el en es hi ru th tr vi zh",
}
INTERMEDIATES = (
    "anli_plus", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "ccg", "cosmos_qa", "commonsense_qa",
)  # fmt: skip
# What each target is trained on, one stage after the other (facts of XTREME, XTREME-R and the paper).
TRAINED_ON = {
    "xnli": ("mnli",),
    "pawsx": ("pawsx",),
    "udpos": ("udpos",),
    "panx": ("panx",),
    "xquad": ("squad_v1",),
    "mlqa": ("squad_v1",),
    "tydiqa": ("tydiqa",),
    "bucc2018": (),
    "tatoeba": (),
    "xcopa": ("social_i_qa", "copa"),
    "lareqa": ("lareqa",),
    "mewslix": ("mewslix",),
}
# Beyond XTREME-R. Belebele's training data are the user's choice, with this one as the default.
LOW_RESOURCE = {
    "belebele": ("cosmos_qa",),
    "sib200": ("sib200",),
    "afrixnli": ("mnli",),
    "americasnli": ("mnli",),
    "indicxnli": ("mnli",),
    "masakhaner2": ("panx",),
    "flores": (),
    "include44": ("commonsense_qa",),
}
NLI = ("snli", "mnli", "anli", "anli_plus", "xnli", "afrixnli", "americasnli", "indicxnli")

every_card = pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)


def test_the_catalogue_holds_all_tasks_of_the_grid() -> None:
    assert set(CARDS) == {
        *INTERMEDIATES, *TRAINED_ON, *LOW_RESOURCE, "social_i_qa", "copa", "snli", "anli", "belebele_train",
    }  # fmt: skip


@every_card
def test_card_is_valid(card: TaskCard) -> None:
    assert [error.sentence for error in SCHEMAS.errors("card.schema.yaml", CONTENTS[card.name])] == []
    assert card_problems(card, CARDS, tuple(CARDS)) == []
    assert hub_problems(card) == []


@every_card
def test_name_does_not_break_paths(card: TaskCard) -> None:
    assert card.name.replace("_", "").isalnum() and card.name.islower() and card.name != "none"


@every_card
def test_languages_are_not_repeated(card: TaskCard) -> None:
    assert [code for code, count in Counter(card.languages).items() if count > 1] == []
    assert set(card.train_languages) <= set(card.languages) or "en" not in card.languages or not card.train


@every_card
def test_every_stage_has_rows_to_train_and_to_watch(card: TaskCard) -> None:
    for name in card.train:
        stage = CARDS[name]
        for kind in ("hub", "local") if stage.hub or stage.rows else ("local",):
            for split in ("train", "dev"):
                offered = all(split in CARDS[origin].splits(kind) for origin in stage.origins(split))
                assert offered or (split == "dev" and stage.dev_from_train), (name, kind, split)


@every_card
def test_head_and_labels_of_the_last_stage_fit(card: TaskCard) -> None:
    if card.train:
        last = CARDS[card.train[-1]]
        assert (last.family, last.labels if card.family == "sequence" else ()) == (
            card.family,
            card.labels if card.family == "sequence" else (),
        )


@every_card
def test_adapter_can_be_imported(card: TaskCard) -> None:
    assert (adapters.adapter_of(card) is None) == (card.adapter is None)


def sections(card: TaskCard) -> Iterator[Mapping[str, Any]]:
    """A card's hub sections as they hold: its own, its overrides and those of its versions."""
    for section in (card.hub, *(version.get("hub") for version in card.versions.values())):
        if section:
            yield section
            yield from ({**section, **part} for part in section.get("overrides", ()))


@every_card
def test_hub_says_what_was_not_verified(card: TaskCard) -> None:
    for section in sections(card):
        assert section["verified"] or section.get("note"), "an unverified section needs a note"


@every_card
def test_hub_revision_is_a_commit_or_says_why_not(card: TaskCard) -> None:
    """A branch may move; a section that names one says so in its note."""
    for section in sections(card):
        revision = section["revision"]
        is_commit = len(revision) == 40 and set(revision) <= set("0123456789abcdef")
        assert is_commit or "commit" in section["note"] and "pin it" in section["note"], (section["path"], revision)


@every_card
def test_overrides_name_a_revision_of_their_own(card: TaskCard) -> None:
    """A revision is one of a repository's: inherited from another repository it would point nowhere."""
    for section in (card.hub, *(version.get("hub") for version in card.versions.values())):
        for part in (section or {}).get("overrides", ()):
            assert "path" not in part or "revision" in part, part


@every_card
def test_local_and_hub_have_the_same_splits(card: TaskCard) -> None:
    """A mirror that was filled from the hub is complete."""
    if card.hub:
        assert card.splits("local") == card.splits("hub")


@pytest.mark.parametrize("name", XTREME)
def test_languages_of_xtreme(name: str) -> None:
    assert sorted(CARDS[name].benchmarks["xtreme"]) == sorted(XTREME[name].split())


@pytest.mark.parametrize("name", XTREME_R)
def test_languages_of_xtreme_r(name: str) -> None:
    assert sorted(CARDS[name].benchmarks["xtreme_r"]) == sorted(XTREME_R[name].split())


@pytest.mark.parametrize("name", TRAINED_ON)
def test_languages_of_a_target_are_those_of_its_benchmarks(name: str) -> None:
    wanted = {*XTREME.get(name, "").split(), *XTREME_R.get(name, "").split()}
    assert set(CARDS[name].languages) == wanted


def test_numbers_of_languages() -> None:
    counts = {name: len(CARDS[name].languages) for name in ("panx", "udpos", "tatoeba", "xquad")}
    assert counts == {"panx": 48, "udpos": 38, "tatoeba": 41, "xquad": 12}
    assert (len(CARDS["panx"].benchmarks["xtreme"]), len(CARDS["udpos"].benchmarks["xtreme"])) == (40, 33)
    assert len(CARDS["tatoeba"].benchmarks["xtreme"]) == 36


def test_pawsx_and_bucc_are_not_in_xtreme_r() -> None:
    assert all("xtreme_r" not in CARDS[name].benchmarks for name in ("pawsx", "bucc2018"))


@pytest.mark.parametrize("name", [*TRAINED_ON, *LOW_RESOURCE])
def test_training_data_of_a_target(name: str) -> None:
    assert CARDS[name].train == {**TRAINED_ON, **LOW_RESOURCE}[name]


# The numbers of the data sets' papers: language variants, with FLORES-200's English as the other side of the pairs.
VARIANTS = {"belebele": 122, "sib200": 205, "afrixnli": 18, "americasnli": 10, "indicxnli": 11, "masakhaner2": 20, "flores": 203, "include44": 44}  # fmt: skip # noqa: E501


@pytest.mark.parametrize("name", LOW_RESOURCE)
def test_languages_beyond_xtreme_r(name: str) -> None:
    """As many as the data set has; its list for the benchmark is what of them XTREME-R does not have."""
    card = CARDS[name]
    known = {code for other in CARDS.values() for code in other.benchmarks.get("xtreme_r", ())}
    assert len(card.languages) == VARIANTS[name] and len(known) == 50
    assert sorted(card.benchmarks["low_resource"]) == sorted(set(card.languages) - known)
    codes = (card.hub or {}).get("codes", {})
    assert len(set(codes.values())) == len(codes)


def test_flores_codes_are_one_language_everywhere() -> None:
    """Belebele, SIB-200 and FLORES name a language by the same code, the script included."""
    codes = [CONTENTS[name]["hub"]["codes"] for name in ("belebele", "sib200", "flores")]
    for one, other in ((codes[0], codes[1]), (codes[1], codes[2])):
        assert {key: one[key] for key in one.keys() & other.keys()} == {
            key: other[key] for key in one.keys() & other.keys()
        }
    assert {key: codes[1][key] for key in ("zh", "zh-Hant", "ar", "ar-Latn", "fa", "sw", "ms", "kr-Arab")} == {
        "zh": "zho_Hans", "zh-Hant": "zho_Hant", "ar": "arb_Arab", "ar-Latn": "arb_Latn", "fa": "pes_Arab",
        "sw": "swh_Latn", "ms": "zsm_Latn", "kr-Arab": "knc_Arab",
    }  # fmt: skip
    assert set(codes[0]) - set(codes[1]) == {f"{code}-Latn" for code in ("bn", "hi", "ne", "si", "ur")}


def test_entity_types_that_panx_lacks_are_no_entities() -> None:
    assert CARDS["masakhaner2"].labels == CARDS["panx"].labels
    assert CARDS["masakhaner2"].relabel == {"B-DATE": "O", "I-DATE": "O"}


def test_xquad_and_mlqa_share_a_tuned_model() -> None:
    assert CARDS["xquad"].tuned == CARDS["mlqa"].tuned == "squad_v1"
    assert CARDS["tatoeba"].tuned is None and CARDS["xcopa"].tuned == "social_i_qa+copa"


@pytest.mark.parametrize("name", NLI)
def test_order_of_nli_labels_is_the_hubs(name: str) -> None:
    assert CARDS[name].labels == ("entailment", "neutral", "contradiction")
    assert CARDS[name].label_values == (0, 1, 2)


def test_snli_drops_pairs_without_gold_label() -> None:
    assert -1 in CARDS["snli"].drop_labels


def test_anli_plus_is_made_of_all_three() -> None:
    assert CARDS["anli_plus"].rows == {split: ("snli", "mnli", "anli") for split in ("train", "dev")}
    assert CONTENTS["anli"]["hub"]["splits"]["train"] == ["train_r1", "train_r2", "train_r3"]


def test_traps_of_the_hub() -> None:
    """Facts 0 and 3: each of these went wrong for somebody."""
    assert CONTENTS["pawsx"]["hub"]["path"] == "google-research-datasets/paws-x"
    assert CONTENTS["social_i_qa"]["hub"]["path"] == "lighteval/siqa"
    assert CARDS["hellaswag"].label_values == ("0", "1", "2", "3")
    assert CARDS["social_i_qa"].label_values == ("1", "2", "3")
    assert CARDS["commonsense_qa"].labels == ("A", "B", "C", "D", "E")
    assert CARDS["tydiqa"].train_languages == ("en",)
    assert CONTENTS["tydiqa"]["hub"]["prefix"]["values"]["te"] == "telugu"
    assert CONTENTS["mlqa"]["hub"]["config"] == "MLQA.{language}.{language}"
    assert {key: CONTENTS["tatoeba"]["hub"]["codes"][key] for key in ("zh", "fa", "sw", "jv")} == {
        "zh": "cmn", "fa": "pes", "sw": "swh", "jv": "jav",
    }  # fmt: skip
    assert CONTENTS["udpos"]["hub"]["missing"] == {"dev": ["kk", "th", "tl", "yo"]}
    assert CARDS["mlqa"].options["normalisation"] == "mlqa" and CARDS["xquad"].options["normalisation"] == "squad"


def test_panx_reads_xtreme_r_languages_elsewhere() -> None:
    (part,) = CONTENTS["panx"]["hub"]["overrides"]
    assert part["path"] == "unimelb-nlp/wikiann"
    assert set(part["languages"]) == {*XTREME_R["panx"].split()} - {*XTREME["panx"].split()}


def test_polish_parts_of_speech_are_xtreme_rs() -> None:
    """XTREME-R's Polish test set also holds PUD, which has neither training nor development rows."""
    (part,) = (part for part in CONTENTS["udpos"]["hub"]["overrides"] if part["languages"] == ["pl"])
    assert part["config"] == {
        "train": ["pl_lfg", "pl_pdb"], "dev": ["pl_lfg", "pl_pdb"], "test": ["pl_lfg", "pl_pdb", "pl_pud"],
    }  # fmt: skip


def test_maximum_lengths_of_xtreme() -> None:
    lengths = {name: CARDS[name].max_length for name in ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa")}
    assert lengths == {"xnli": 128, "pawsx": 128, "udpos": 128, "panx": 128, "xquad": 384, "mlqa": 384, "tydiqa": 384}


def test_scored_splits() -> None:
    """Dual encoders borrow training pairs as dev: they are watched in training, never scored."""
    scored = {
        name: CARDS[name].scored_splits("local") for name in ("xnli", "xquad", "tydiqa", "lareqa", "mlqa", "anli_plus")
    }
    assert scored == {
        "xnli": ("dev", "test"),
        "xquad": ("test",),
        "tydiqa": ("test",),
        "lareqa": ("test",),
        "mlqa": ("dev", "test"),
        "anli_plus": ("dev",),
    }
    assert CARDS["xnli"].headline("hub") == "test" and CARDS["mnli"].headline("hub") == "dev"


def test_ccg_says_what_to_get_and_where_to_put_it() -> None:
    card = CARDS["ccg"]
    assert card.hub is None and card.labels == () and card.options["labels_from_data"]
    assert "LDC2005T13" in str(card.obtain) and "ccg/data/AUTO" in str(card.obtain)


def test_overlay_merges_mappings_and_replaces_lists() -> None:
    merged = merge(CONTENTS["mlqa"], {"languages": ["en", "de"], "local": {"splits": {"test": None}}})
    assert merged["languages"] == ["en", "de"]
    assert merged["local"] == {"folder": "mlqa", "splits": {"dev": "validation"}}
    assert merged["hub"] == CONTENTS["mlqa"]["hub"]
