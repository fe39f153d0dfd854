"""Every task of the mini-lab by name, the skill that it teaches or tests, and its items."""

from functools import lru_cache

from stiltgrid.data.sources.minilab.settings import Stream, WorldSettings
from stiltgrid.data.sources.minilab.tasks import Item, TaskBuilder
from stiltgrid.data.sources.minilab.tasks_choice import (
    Causes,
    Commonsense,
    Continuation,
    Examination,
    Reason,
    SocialQuestions,
)  # fmt: skip
from stiltgrid.data.sources.minilab.tasks_pairs import DuplicateQuestions, Inference, Paraphrases
from stiltgrid.data.sources.minilab.tasks_passages import PassageQuestions, Topics
from stiltgrid.data.sources.minilab.tasks_retrieval import (
    AnswerRetrieval,
    EntityLinking,
    Mining,
    ParallelSentences,
    Translations,
)  # fmt: skip
from stiltgrid.data.sources.minilab.tasks_span import Reading
from stiltgrid.data.sources.minilab.tasks_tagging import Entities, Sentences
from stiltgrid.data.sources.minilab.world import world_of

ALL = ("train", "dev", "test")

BUILDERS: dict[str, TaskBuilder] = {
    builder.name: builder
    for builder in (
        Inference("mnli", ("train", "dev")),
        Inference("snli", ALL, synonyms=0.2, adjuncts=0.4),
        Inference("anli", ALL, synonyms=0.6, distractors=True),
        Inference("xnli", ("dev", "test")),
        DuplicateQuestions(),
        Paraphrases(),
        Reading("squad_v1", ("train", "dev")),
        Reading("squad_v2", ("train", "dev"), unanswerable=1 / 3),
        Reading("xquad", ("test",)),
        Reading("mlqa", ("dev", "test"), length=6),
        Reading("tydiqa", ("train", "test"), length=3, share=0.5, own_documents=True),
        Continuation(),
        Reason(),
        SocialQuestions(),
        Causes("copa", ("train", "dev"), 0.1),
        Causes("xcopa", ("dev", "test"), 0.0),
        Commonsense(),
        Sentences("ccg", "tags", "category", 0.5, ("train", "dev")),
        Sentences("udpos", "pos_tags", "upos", 0.25, ALL),
        Entities("panx"),
        Translations(),
        Mining(),
        AnswerRetrieval(),
        EntityLinking(),
        PassageQuestions("belebele", ("test",)),
        PassageQuestions("belebele_train", ("train", "dev"), training=True),
        Topics(),
        Inference("afrixnli", ("dev", "test")),
        Inference("americasnli", ("dev", "test"), adjuncts=0.4),
        Inference("indicxnli", ("dev", "test"), synonyms=0.5),
        Entities("masakhaner2", dates=True),
        ParallelSentences(),
        Examination(),
    )
}

_TAUGHT = {
    "inference": ("xnli", "afrixnli", "americasnli", "indicxnli"),
    "paraphrase": ("pawsx",),
    "reading": ("xquad", "mlqa", "tydiqa", "lareqa", "belebele"),
    "sequel": ("xcopa",),
    "cause": ("xcopa",),
    "knowledge": ("include44",),
    "syntax": ("udpos", "panx", "masakhaner2"),
}
_INTERMEDIATE = (
    "mnli",
    "snli",
    "anli",
    "qqp",
    "squad_v1",
    "squad_v2",
    "hellaswag",
    "ccg",
    "cosmos_qa",
    "social_i_qa",
    "copa",
    "commonsense_qa",
)


def planted_relations() -> dict[str, dict[str, tuple[str, ...] | str]]:
    """The skill of each intermediate task and the targets that need it, by construction of the world.

    {"mnli": {"skill": "inference", "targets": ("xnli",)}, …}; `targets` is empty where no target needs the skill.
    """
    relations: dict[str, dict[str, tuple[str, ...] | str]] = {
        name: {"skill": BUILDERS[name].skill, "targets": _TAUGHT[BUILDERS[name].skill]} for name in _INTERMEDIATE
    }
    relations["anli_plus"] = relations["anli"]
    return relations


@lru_cache(maxsize=64)
def items_of(settings: WorldSettings, name: str, split: str, language: str = "") -> tuple[Item, ...]:
    """Items of a split. Every task and split has its own random stream, so the order of reading does not matter.

    `language` is "" for items that are rendered in every language, else the one language that has them.
    """
    world, builder = world_of(settings), BUILDERS[name]
    stream = Stream(settings.seed, name, split, language)
    return tuple(builder.items(world, stream, split, builder.count(world, split)))
