"""Malformed configurations and cards."""

import yaml
from malformed import CARDS, CONFIG, PRETRAIN, Case, card, configured

NUMBERS, YAML, KEYS, CARD = "numbers of the configuration", "YAML", "keys and names", "cards"
CIRCLES = "circles"


def trained(kind: str, name: str, expected: str, *, open: bool = False, **settings: object) -> Case:
    """A case of training settings."""
    return configured(kind, name, expected, training={"all": settings})


def pretrained(kind: str, name: str, expected: str, **changes: object) -> Case:
    """A case of a model that is pretrained here."""
    return configured(kind, name, expected, models={"tiny": {"pretrain": {**PRETRAIN, **changes}}})


def text(kind: str, name: str, expected: str, content: str, *, open: bool = False) -> Case:
    """A case of a configuration file's text."""
    return Case(kind, name, expected, config=content)


BASE = yaml.safe_dump(dict(CONFIG))
INVALID = "Config file is not valid JSON or YAML"  # Snakemake's own words: it reads the file first

CASES = [
    # ---- numbers
    configured(NUMBERS, "a seed above 2^63", "seeds", seeds=[18446744073709551616]),
    configured(NUMBERS, "a seed with a decimal point", "seeds", seeds=[1.0]),
    configured(NUMBERS, "a negative seed", "seeds", seeds=[-1]),
    configured(NUMBERS, "a seed that is text", "seeds", seeds=["one"]),
    configured(NUMBERS, "a seed that is true", "seeds", seeds=[True]),
    configured(NUMBERS, "no seed", "seeds", seeds=[]),
    configured(NUMBERS, "a seed twice", "seeds", seeds=[1, 1]),
    trained(NUMBERS, "a batch of 1e30 examples", "batch_size", batch_size=1e30),
    trained(NUMBERS, "a batch of 10^30 examples", "batch_size", batch_size=10**30),
    trained(NUMBERS, "a batch of no example", "batch_size", batch_size=0),
    trained(NUMBERS, "half an example", "batch_size", batch_size=2.5),
    trained(NUMBERS, "a whole number with a decimal point", "batch_size", batch_size=32.0),
    trained(NUMBERS, "a learning rate that is not a number", "learning_rate", learning_rate=float("nan")),
    trained(NUMBERS, "an infinite learning rate", "learning_rate", learning_rate=float("inf")),
    trained(NUMBERS, "a learning rate of zero", "learning_rate", learning_rate=0),
    trained(NUMBERS, "a negative learning rate", "learning_rate", learning_rate=-1e-5),
    trained(NUMBERS, "infinitely many epochs", "epochs", epochs=float("inf")),
    trained(NUMBERS, "epochs that are not a number", "epochs", epochs=float("nan")),
    trained(NUMBERS, "a warm-up of two", "warmup_share", warmup_share=2),
    trained(NUMBERS, "a negative weight decay", "weight_decay", weight_decay=-0.1),
    trained(NUMBERS, "a share of development of more than all", "dev_share", dev_share=1.5),
    trained(NUMBERS, "no step", "max_steps", max_steps=0),
    trained(NUMBERS, "10^30 steps", "max_steps", max_steps=10**30),
    trained(NUMBERS, "a length of no token", "max_length", max_length=0),
    trained(NUMBERS, "a length of 10^12 tokens", "max_length", max_length=10**12),
    trained(NUMBERS, "a number that is text", "batch_size", batch_size="many"),
    configured(NUMBERS, "evaluation of no example", "examples", evaluation={"examples": 0}),
    configured(NUMBERS, "evaluation in batches of no token", "batch_tokens", evaluation={"batch_tokens": 0}),
    pretrained(NUMBERS, "pretraining for infinitely many steps", "steps", steps=float("inf")),
    pretrained(NUMBERS, "a mask rate above one", "mask_rate", mask_rate=1.5),
    pretrained(
        NUMBERS,
        "a vocabulary of no token",
        "vocabulary",
        tokenizer={"algorithm": "bpe", "vocabulary": 0, "pre_tokenizer": "metaspace"},
    ),
    pretrained(NUMBERS, "rows longer than the model's positions", "positions", sequence_length=4096),
    # ---- keys and names
    configured(KEYS, "an unknown key", "did you mean 'targets'?", targetts=["own"]),
    configured(KEYS, "an unknown training key", "did you mean 'learning_rate'?", training={"all": {"learning_rat": 1}}),
    configured(KEYS, "a target that does not exist", "did you mean 'own'?", targets=["owm"]),
    configured(KEYS, "a target in capitals", "did you mean 'own'?", targets=["OWN"]),
    configured(KEYS, "a row that does not exist", "did you mean 'own'?", intermediates=["none", "owns"]),
    configured(KEYS, "no target", "targets", targets=[]),
    configured(KEYS, "no model", "models", models={}),
    configured(KEYS, "a source that does not exist", "did you mean 'local'?", source="locale"),
    configured(
        KEYS,
        "settings of a task that does not exist",
        "did you mean 'own'?",
        training={"tasks": {"owm": {"all": {"epochs": 1}}}},
    ),
    configured(KEYS, "a name that climbs out of the folder", "../up", models={"../up": {"pretrain": dict(PRETRAIN)}}),
    configured(KEYS, "a name that ends with a line feed", "a\\n", models={"a\n": {"pretrain": dict(PRETRAIN)}}),
    configured(
        KEYS, "a name of 300 letters", "at most 100 characters", models={"m" * 300: {"pretrain": dict(PRETRAIN)}}
    ),
    configured(
        KEYS,
        "a study of a task that does not exist",
        "did you mean 'own'?",
        jobs=["study_similarity"],
        studies={"similarity": {"intermediates": ["owm"]}},
    ),
    configured(KEYS, "a model from two places", "tiny", models={"tiny": {"pretrain": dict(PRETRAIN), "path": "data"}}),
    pretrained(
        KEYS,
        "a key of the architecture misspelt",
        "did you mean 'hidden_size'?",
        architecture={**PRETRAIN["architecture"], "hiden_size": 64},
    ),
    pretrained(
        KEYS,
        "a type of model that does not exist",
        "model_type",
        architecture={**PRETRAIN["architecture"], "model_type": "xlm-robert"},
    ),
    pretrained(
        KEYS,
        "heads that do not divide the width",
        "num_attention_heads",
        architecture={**PRETRAIN["architecture"], "num_attention_heads": 3},
    ),
    pretrained(KEYS, "raw text in a language that is not there", "no raw text of sw", languages=["en", "sw"]),
    # ---- circles
    configured(CIRCLES, "a model like itself", "like", models={"tiny": {"like": "tiny"}}),
    configured(
        CIRCLES,
        "recipes like each other",
        "a -> b -> a",
        recipes={"a": {"like": "b"}, "b": {"like": "a"}},
        intermediates=["none", "a"],
    ),
    configured(
        CIRCLES,
        "a chain through itself",
        "a -> a",
        recipes={"a": {"sequence": ["own", "a"]}},
        intermediates=["none", "a"],
    ),
    Case(
        CIRCLES,
        "rows of two cards that name each other",
        "rows",
        files={
            "tasks/own.yaml": "rows: {train: [other], dev: [other]}\n" + yaml.safe_dump(CARDS["sequence"]),
            "tasks/other.yaml": "rows: {train: [own], dev: [own]}\n" + yaml.safe_dump(CARDS["sequence"]),
        },
    ),
    card(CIRCLES, "rows that name the card itself", "rows", rows={"train": ["own"]}),
    card(CIRCLES, "a card trained on a card that does not exist", "did you mean 'own'?", train=["owm"]),
    # ---- YAML
    text(YAML, "a broken file", INVALID, BASE + "training: {all: {epochs: 1}\n"),
    text(YAML, "a tab for indentation", INVALID, BASE + "training:\n\tall: {epochs: 1}\n"),
    text(YAML, "a key twice", "targets", BASE + "targets: [own]\n"),
    text(YAML, "a list at the top", "keys at top level", "- source: local\n"),
    text(YAML, "an empty file", "keys at top level", ""),
    text(YAML, "an exponent without a point", "1.0e-5", BASE + "training: {all: {learning_rate: 1e-5}}\n"),
    text(YAML, "a language that is read as false", '"no"', BASE + "tasks: {own: {languages: [en, no]}}\n"),
    text(YAML, "an alias of itself", "alias", content=BASE + "recipes: &a {x: *a}\n"),
    text(
        YAML,
        "aliases that explode",
        "alias",
        content=BASE
        + "world: &a0 [x, x]\n"
        + "".join(f"world{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 5)}]\n" for n in range(1, 14)),
    ),
    text(YAML, "a Python object", INVALID, BASE + "world: !!python/object/apply:os.system [true]\n"),
    text(YAML, "a file of another encoding", INVALID, BASE + "world: {seed: 1} # \x00\n"),
    # ---- cards
    Case(
        CARD,
        "a family that does not exist",
        "did you mean 'sequence'?",
        files={"tasks/own.yaml": yaml.safe_dump({**CARDS["sequence"], "family": "sequences"})},
    ),
    card(CARD, "an unknown key", "did you mean 'labels'?", lables=["bad"]),
    card(CARD, "no field for a text", "text_a", fields={"label": "label"}),
    card(CARD, "a template with a format", "template", fields={"text_a": "{text:>9999}", "label": "label"}),
    card(CARD, "a template with a conversion", "template", fields={"text_a": "{text!r}", "label": "label"}),
    card(CARD, "a template that does not close", "template", fields={"text_a": "{text", "label": "label"}),
    card(CARD, "a label twice", "labels", labels=["bad", "bad"]),
    card(CARD, "one label", "labels", labels=["bad"]),
    card(CARD, "more label values than labels", "label_values", label_values=[0, 1, 2]),
    card(CARD, "a metric of another family", "metric", metric="exact_match_of_spans"),
    card(
        CARD,
        "tags outside of the scheme",
        "'ORGANIZATION' does not fit scheme bio, expected O, B-TYPE, I-TYPE",
        family="tagging",
        labels=["ORGANIZATION", "PERSON", "OTHER"],
    ),
    card(CARD, "tags in small letters", "did you mean 'B-per'?", family="tagging", labels=["o", "b-per", "i-per"]),
    card(
        CARD,
        "an inside tag without a beginning",
        "B-LOC",
        family="tagging",
        labels=["O", "B-PER", "I-PER", "I-LOC"],
    ),
    card(
        CARD, "a folder outside of the mirror", "data folder", local={**CARDS["sequence"]["local"], "folder": "../up"}
    ),
    card(CARD, "a split that does not exist", "split", local={"folder": "own", "splits": {"training": "train"}}),
    card(CARD, "no language", "languages", languages=[]),
    card(CARD, "a length of no token", "max_length", max_length=0),
    card(CARD, "a length with a decimal point", "max_length", max_length=64.0),
    card(CARD, "an adapter that does not exist", "adapter", adapter="os"),
    Case(CARD, "a card of the name none", "none", files={"tasks/none.yaml": yaml.safe_dump(CARDS["sequence"])}),
    Case(
        CARD,
        "a card whose name has a blank",
        "my task",
        files={"tasks/my task.yaml": yaml.safe_dump(CARDS["sequence"])},
    ),
    Case(CARD, "a card that is a list", "mapping", files={"tasks/other.yaml": "- family: sequence\n"}),
    Case(CARD, "an empty card", "other.yaml", files={"tasks/other.yaml": ""}),
    # ---- more of the same kinds
    trained(NUMBERS, "a rank of 10^12", "at most 65536", lora={"rank": 10**12}),
    trained(NUMBERS, "a temperature of a stage", "unknown key 'temperature'", temperature=2),
    configured(NUMBERS, "a seed of 5,000 digits", "expected a whole number", seeds=["1" * 5000]),
    configured(NUMBERS, "a draw of more sets than can be drawn", "at most", world={"scale": 10**9}),
    text(NUMBERS, "a number in base sixty", "read as 90", BASE + "training: {all: {max_steps: 1:30}}\n"),
    text(NUMBERS, "a number in base eight", "read as 8", BASE + "training: {all: {max_steps: 010}}\n"),
    text(NUMBERS, "a date", "read as a date", BASE + "data_dir: 2020-01-31\n"),
    pretrained(NUMBERS, "a dropout of two", "less than 1",
               architecture={**PRETRAIN["architecture"], "hidden_dropout_prob": 2.0}),
    pretrained(NUMBERS, "a dropout that is not a number", "finite",
               architecture={**PRETRAIN["architecture"], "hidden_dropout_prob": float("nan")}),
    configured(KEYS, "a folder with a null byte", "control characters", data_dir="data\0"),
    configured(KEYS, "a task left out that does not exist", "did you mean 'own'?", without=["OWN"]),
    configured(KEYS, "everything left out", "nothing is left of targets", without=["own"]),
    configured(KEYS, "a recipe of a name of a task", "this is a task's name", recipes={"own": {"tasks": ["own"]}}),
    configured(CIRCLES, "a template of a longer name", "more than 50 recipes",
               recipes={"a": {"like": "ownx"}, "{row}x": {"like": "{row}xx"}}, intermediates=["none", "a"]),
    configured(CIRCLES, "models like each other", "b -> a -> b",
               models={"tiny": {"pretrain": dict(PRETRAIN)}, "a": {"like": "b"}, "b": {"like": "a"}}),
    text(YAML, "a merge key that merges a number", INVALID, BASE + "training: {<<: 3}\n"),
    card(CARD, "a template without a column", "without a column", fields={"text_a": "{{text}}", "label": "label"}),
    card(CARD, "a template of a number", "name of a column", fields={"text_a": "{0}", "label": "label"}),
    card(CARD, "a path with an empty step", "dotted path", fields={"text_a": "text..a", "label": "label"}),
    card(CARD, "a language with a line feed", "language code", languages=["en\n"]),
    Case(CARD, "a card of the ending yml", "rename it to mine.yaml", files={
        "tasks/mine.yml": yaml.safe_dump(CARDS["sequence"])}),
    Case(CARD, "a card of a mixture's name", "mixtures", files={
        "tasks/mix_own.yaml": yaml.safe_dump(CARDS["sequence"])}),
]  # fmt: skip
