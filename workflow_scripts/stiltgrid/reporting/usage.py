"""Code for model cards: how an exported model is loaded and read, with transformers or sentence-transformers alone.

Each snippet defines one function that gives this project's predictions. Tests run the snippets of exported folders.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SpecialTokens
from stiltgrid.tasks.families.span import DOC_STRIDE, MAX_ANSWER_LENGTH, MAX_QUERY_LENGTH, N_BEST

FOLDER = 'folder = "."  # or the name of its repository on the hub'


@dataclass(frozen=True)
class Usage:
    """What a snippet depends on.

    Attributes:
        auto: the class of transformers that loads the model with its head, or without one the class of the backbone.
        whole: whether `auto` has the head; otherwise it is in head.safetensors.
        options: constructor arguments of a class without the head.
        encoder: whether only the encoder of a loaded encoder-decoder is read.
        pooling: how a sequence is pooled.
        max_length: longest sequence in tokens.
        blanks: whether words of a sentence are given with the blank in front of them.
        unknown: id for a word that yields no token.
    """

    card: TaskCard
    special: SpecialTokens
    auto: str
    whole: bool
    pooling: str
    max_length: int
    encoder: bool = False
    options: Mapping[str, Any] | None = None
    blanks: bool = False
    unknown: int = 0


def snippet(usage: Usage) -> str:
    """Python code that loads a model from the folder it runs in and defines a function of predictions."""
    parts = {"sequence": _CLASSIFY, "tagging": _tag(usage), "span": _answer(usage), "choice": _CHOOSE}
    body = parts[usage.card.family].replace("MAX_LENGTH", str(usage.max_length))
    return "\n\n\n".join([_loading(usage), _scores(usage), body])


def _loading(usage: Usage) -> str:
    arguments = "".join(f", {name}={value!r}" for name, value in (usage.options or {}).items())
    lines = [
        "import torch",
        *([] if usage.whole else ["from safetensors.torch import load_file", "from torch.nn.functional import linear"]),
        f"from transformers import {', '.join(sorted([usage.auto, 'AutoTokenizer']))}",
        *([] if usage.whole else ["from transformers.utils import cached_file"]),
        "",
        FOLDER,
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        f"model = {usage.auto}.from_pretrained(folder{arguments}).eval()",
    ]
    if not usage.whole:
        lines.append('head = load_file(cached_file(folder, "head.safetensors"))')
    if usage.encoder:
        lines.append("encoder = model.get_encoder()")
    return "\n".join(lines)


def _scores(usage: Usage) -> str:
    """The function `scores`: logits of a batch, (sequences, labels), or for tags and spans (sequences, tokens, …)."""
    head, family = '    """Logits of the head."""\n', usage.card.family
    if usage.whole:
        bodies = {
            "span": "    found = model(**batch)\n"
            "    return torch.stack([found.start_logits, found.end_logits], dim=-1)",
            "choice": "    return model(**{name: value[None] for name, value in batch.items()}).logits[0]",
        }
        return "def scores(batch):\n" + head + bodies.get(family, "    return model(**batch).logits")
    reader = "encoder" if usage.encoder else "model"
    lines = [f"    hidden = {reader}(**batch).last_hidden_state"]
    last = 'head["projection.weight"], head["projection.bias"]'
    if family in ("sequence", "choice"):
        lines += [
            f"    {line}" for line in _pooled(usage.pooling, usage.special)
        ] + [
            '    dense = torch.tanh(linear(pooled, head["dense.weight"], head["dense.bias"]))',
            f"    return linear(dense, {last})" + ("[:, 0]" if family == "choice" else ""),
        ]  # fmt: skip
    elif family == "span" and usage.pooling == "compared":
        lines += [f"    {line}" for line in _means(usage.special)]
        lines += [
            "    u = first.unsqueeze(1).expand_as(hidden)",
            "    states = torch.cat([u, hidden, (u - hidden).abs(), u * hidden], dim=-1)",
            f"    return linear(states, {last})",
        ]
    else:
        lines.append(f"    return linear(hidden, {last})")
    return "def scores(batch):\n" + head + "\n".join(lines)


def _pooled(pooling: str, special: SpecialTokens) -> list[str]:
    """Lines that compute `pooled` from `hidden` and `batch`, as `Batch.pool` does."""
    if pooling == "cls":
        return ["pooled = hidden[:, 0]"]
    if pooling == "last":
        return ['pooled = hidden[torch.arange(len(hidden)), batch["attention_mask"].sum(1) - 1]']
    if pooling == "compared":
        return [*_means(special), "pooled = torch.cat([first, second, (first - second).abs(), first * second], dim=-1)"]
    if pooling == "mean_all":
        return [
            'weights = batch["attention_mask"].unsqueeze(-1)',
            "pooled = (hidden * weights).sum(1) / weights.sum(1)",
        ]
    return [
        *_content(special),
        "weights = content.unsqueeze(-1)",
        "pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)",
    ]


def _content(special: SpecialTokens) -> list[str]:
    return [
        'real = batch["attention_mask"].bool()',
        f'content = real & ~torch.isin(batch["input_ids"], torch.tensor({list(special.around)}))',
    ]


def _means(special: SpecialTokens) -> list[str]:
    """Lines that compute `first` and `second`, the mean states of both texts, as `batching.text_means` does."""
    return [
        *_content(special),
        "marks = (real & ~content).cumsum(1)  # special tokens so far",
        "before = torch.where(content, marks, marks.max() + 1).amin(1, keepdim=True)",
        "one, two = content & (marks <= before), content & (marks > before)",
        "two = torch.where(two.any(1, keepdim=True), two, one)",
        "first, second = ((hidden * part.unsqueeze(-1)).sum(1) / part.sum(1, keepdim=True).clamp(min=1)",
        "                 for part in (one, two))",
    ]


_CLASSIFY = '''@torch.inference_mode()
def classify(texts, others=None):
    """The label of each text, or of each pair of a text and one of the others."""
    batch = tokenizer(texts, others, truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt")
    return [model.config.id2label[int(number)] for number in scores(batch).argmax(-1)]'''

_CHOOSE = '''@torch.inference_mode()
def choose(context, options):
    """The number of the best option, from 0."""
    batch = tokenizer(
        [context] * len(options), options, truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt"
    )
    return int(scores(batch).argmax())'''


def _tag(usage: Usage) -> str:
    special = usage.special
    words = '[words[0], *(f" {word}" for word in words[1:])]' if usage.blanks else "words"
    room = usage.max_length - len(special.prefix) - len(special.suffix)
    mark = "place + len(tokens) - 1" if special.causal else "place"
    return f'''@torch.inference_mode()
def tag(words):
    """The label of each word; a sentence of more than MAX_LENGTH tokens is read in pieces of whole words."""
    found = tokenizer({words}, is_split_into_words=True, add_special_tokens=False)
    tokens_of = [[] for _ in words]
    for number, word in zip(found["input_ids"], found.word_ids()):
        tokens_of[word].append(number)
    pieces = [[]]
    for tokens in (tokens[:{room}] or [{usage.unknown}] for tokens in tokens_of):
        if sum(map(len, pieces[-1])) + len(tokens) > {room}:
            pieces.append([])
        pieces[-1].append(tokens)
    labels = []
    for piece in pieces:
        ids = torch.tensor([{special.prefix} + sum(piece, []) + {special.suffix}])
        numbers = scores({{"input_ids": ids, "attention_mask": torch.ones_like(ids)}})[0].argmax(-1)
        place = {len(special.prefix)}
        for tokens in piece:
            labels.append(model.config.id2label[int(numbers[{mark}])])
            place += len(tokens)
    return labels'''


def _answer(usage: Usage) -> str:
    card, special = usage.card, usage.special
    longest = card.options.get("max_answer_length", MAX_ANSWER_LENGTH)
    outer = len(special.prefix) + len(special.middle) + len(special.suffix)
    asked = min(card.options.get("max_query_length", MAX_QUERY_LENGTH), (usage.max_length - outer) // 2)
    overlap = max(1, min(2 * MAX_ANSWER_LENGTH, (usage.max_length - outer - asked) // 2))
    summary = 'inputs["attention_mask"].sum(1) - 1' if special.causal else "torch.zeros(len(both), dtype=torch.long)"
    null, n_best = card.options.get("null_answers"), card.options.get("n_best", N_BEST)
    none = f'''
    no_answer = both[torch.arange(len(both)), {summary}].sum(-1).min()
    if float(no_answer - best) > {float(card.options.get("null_threshold", 0.0))}:
        return ""''' if null else ""  # fmt: skip
    return f'''@torch.inference_mode()
def answer(question, context):
    """The best span of at most {longest} tokens{", or an empty text" if null else ""}; long contexts are windowed."""
    cut = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"][:{asked}]
    question = question[: cut[-1][1]] if cut else question
    inputs = tokenizer(
        question, context, truncation="only_second", max_length=MAX_LENGTH, stride={overlap}, padding=True,
        return_overflowing_tokens=True, return_offsets_mapping=True, return_tensors="pt",
    )
    offsets, _ = inputs.pop("offset_mapping"), inputs.pop("overflow_to_sample_mapping")
    both = scores(inputs)
    inside = torch.tensor([[part == 1 for part in inputs.sequence_ids(window)] for window in range(len(both))])
    start, end = both.masked_fill(~inside.unsqueeze(-1), float("-inf")).unbind(-1)
    spans = start.unsqueeze(2) + end.unsqueeze(1)
    spans = spans.masked_fill(~torch.ones_like(spans).triu().tril({longest - 1}).bool(), float("-inf"))
    for best, place in zip(*spans.flatten().topk(min({n_best}, spans.numel()))):
        window, first, last = (int(number) for number in torch.unravel_index(place, spans.shape))
        text = context[int(offsets[window, first, 0]) : int(offsets[window, last, 1])].strip()
        if text:  # not only white space
            break{none}
    return text'''


def decoding(card: TaskCard) -> str:
    """What decides predictions besides the model's scores, in words."""
    if card.family == "span":
        stride, threshold = card.options.get("doc_stride", DOC_STRIDE), card.options.get("null_threshold", 0)
        question = card.options.get("max_query_length", MAX_QUERY_LENGTH)
        text = (
            "The scores above were computed with these rules, of which the code shows the main ones: questions are cut "
            f"at {question} tokens; windows over a long context start {stride} tokens after one another, at most (they "
            f"overlap by at least {2 * MAX_ANSWER_LENGTH} tokens where they can), and an answer may start only in the "
            "window that has the most context for its first token; an answer is the best sum of a start and an end "
            f"score, at most {card.options.get('max_answer_length', MAX_ANSWER_LENGTH)} tokens long."
        )
        if card.options.get("null_answers"):
            text += (
                " No answer is predicted where the null score (start plus end at the first token, or in a causal model "
                f"at the last; the lowest of all windows) is above the best span's score by more than {threshold}."
            )
        return text
    if card.family == "tagging":
        return (
            "A word's label is read at its first token (in a causal model at its last). Sentences that do not fit are "
            "read in pieces of whole words, never truncated."
        )
    pair = "a pair loses the end of its longer text first"
    return f"Texts that do not fit are cut at their end; {pair}." if card.family != "choice" else (
        f"Each option is scored with the context by itself, and the best one wins. What does not fit is cut: {pair}."
    )  # fmt: skip
