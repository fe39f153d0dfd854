"""Scoring beside what one would pick for it: sentence-transformers' `encode`, and `Trainer.predict`.

    OMP_NUM_THREADS=1 python benchmarks/scoring_comparison.py --configfile config.yaml --results results --model mini

Reads the evaluation rows, token ids and tokenizer of a finished grid. The model is XLM-R's architecture with random
weights, the same on all sides, in float32; with `--precision auto` ours is in what the workflow would choose on this
CPU, the others in float32, their default. Retrieval targets (the text of every row): `encode` tokenizes, pads batches
of 32 (its default) sorted by length, and averages the last layer; ours reads token ids that were made once, and pools
every layer of Tatoeba, as a grid does. `encoding counted` adds the time of making the token ids once. Targets with a
head: `Trainer.predict` on the same token ids, 32 sequences a batch, padded to the longest or to the task's maximum (as
transformers' example scripts do by default). Every side reads the same sequences. The sides take turns; figures are
medians of the rounds, in processor time of one thread.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from packing import DTYPES  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer  # noqa: E402
from stiltgrid.config.loading import load_grid  # noqa: E402
from stiltgrid.evaluation.batches import tokens_of_a_pass  # noqa: E402
from stiltgrid.evaluation.prediction import Predictor, Reader, TokenCount, predict_all  # noqa: E402
from stiltgrid.grid.cards import TaskCard  # noqa: E402
from stiltgrid.grid.grid import Model  # noqa: E402
from stiltgrid.modeling.backbone import Backbone  # noqa: E402
from stiltgrid.modeling.device import Compute  # noqa: E402
from stiltgrid.modeling.encoded import Encoded, read_encoded  # noqa: E402
from stiltgrid.modeling.precision import cpu_choice  # noqa: E402
from stiltgrid.modeling.tokenization import read_special_tokens  # noqa: E402
from stiltgrid.preparation.encode import encode_file  # noqa: E402
from stiltgrid.tasks.families import family  # noqa: E402
from stiltgrid.utils.parquet import read_parquet, write_parquet  # noqa: E402
from stiltgrid.utils.strict_yaml import read_yaml  # noqa: E402
from tokenizers.processors import TemplateProcessing  # noqa: E402
from transformers import AutoConfig, AutoModel, AutoTokenizer, Trainer, TrainingArguments  # noqa: E402
from transformers.models.auto import modeling_auto  # noqa: E402

HEADS = {
    "sequence": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "span": modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING,
}
BATCH = 32  # sentence-transformers' default; given to Trainer too


@dataclass(frozen=True)
class Work:
    """A target's rows and sequences, and the model that reads them."""

    card: TaskCard
    rows: pa.Table
    data: Encoded
    tokenizer: Path
    config: Any
    scratch: Path
    batch_tokens: int | None
    compute: Compute  # of our side

    def column(self, name: str) -> list[Any]:
        """A column of the rows."""
        return list(self.rows.column(name).to_pylist())

    def backbone(self) -> Any:
        """The model without a head, weights drawn by one seed."""
        torch.manual_seed(1)
        return AutoModel.from_config(deepcopy(self.config), add_pooling_layer=False)


def timed(action: Callable[[], object]) -> float:
    """Seconds of processor time."""
    started = time.process_time()
    action()
    return time.process_time() - started


def ours(work: Work) -> Callable[[], object]:
    """The prediction that a scoring job makes."""
    # As a scoring job does: weights in the dtype of the arithmetic.
    kind, backbone = family(work.card.family), Backbone(work.backbone().to(work.compute.dtype).eval())
    reader = Reader(read_special_tokens(work.tokenizer), Model("model", pooling="mean", retrieval_pooling="mean"))
    head = None
    if work.card.family in HEADS:
        head = kind.build_head(work.card, kind.pooled_width(backbone.hidden_size, reader.pooling(kind))).eval()
    predictor = Predictor(backbone, head, kind, work.card, reader, work.compute)
    layers = tuple(range(backbone.hidden_layers + 1))
    batch_tokens = tokens_of_a_pass(work.batch_tokens, backbone.hidden_size, work.compute)
    return lambda: predict_all(predictor, work.data, batch_tokens, TokenCount(), layers)


def encoding(work: Work) -> Callable[[], object]:
    """Token ids from rows, as the grid makes them once for all cells."""
    path = work.scratch / f"{work.card.name}.parquet"
    write_parquet(work.rows, path)
    length = work.card.max_length
    return lambda: encode_file(work.card, path, work.tokenizer, work.scratch / "ids.arrow", length, False)


def library_tokenizer(folder: Path) -> Any:
    """The grid's tokenizer, told to pad and to add the special tokens that ours adds itself."""
    special, tokenizer = read_special_tokens(folder), AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(special.pad)
    names = {number: tokenizer.convert_ids_to_tokens(number) for number in special.around}
    before, between, after = (
        [names[number] for number in part] for part in (special.prefix, special.middle, special.suffix)
    )
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A", *between, "$B", *after],
        special_tokens=[(name, number) for number, name in names.items()],
    )
    return tokenizer


def library(work: Work) -> Callable[[], object]:
    """sentence-transformers' `encode`."""
    folder = work.scratch / f"{work.card.name}-model"
    work.backbone().save_pretrained(folder)
    library_tokenizer(work.tokenizer).save_pretrained(folder)
    transformer = Transformer(str(folder), max_seq_length=work.card.max_length)
    pooling = Pooling(work.config.hidden_size, pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    # `encode` reads single texts: the two of a LAReQA candidate are joined, without the separators between them.
    texts = [" ".join(filter(None, pair)) for pair in zip(*map(work.column, ("text", "text_pair")), strict=True)]
    found = sum(int(model.tokenize([text])["attention_mask"].sum()) for text in texts[:BATCH])
    expected = int(work.data.lengths[work.data.examples < BATCH].sum())
    assert abs(found / expected - 1) < 0.06, f"{work.card.name}: sides read {found} and {expected} tokens"
    return lambda: model.encode(texts, show_progress_bar=False)


def trainer(work: Work, to_maximum: bool) -> Callable[[], object]:
    """`Trainer.predict` on the same token ids."""
    torch.manual_seed(1)
    config = deepcopy(work.config)
    config.num_labels = 2 if work.card.family == "span" else len(work.card.labels)
    model = HEADS[work.card.family][type(config)](config)
    ids, offsets, pad = work.data.tokens["input_ids"], work.data.offsets, work.config.pad_token_id

    def collate(numbers: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        parts = [ids[offsets[one["number"]] : offsets[one["number"] + 1]] for one in numbers]
        longest = work.card.max_length if to_maximum else max(map(len, parts))
        found = np.full((len(parts), longest), pad, dtype=np.int64)
        for line, part in zip(found, parts, strict=True):
            line[: len(part)] = part
        batch = torch.from_numpy(found)
        return {"input_ids": batch, "attention_mask": (batch != pad).long()}

    arguments = TrainingArguments(
        str(work.scratch), per_device_eval_batch_size=BATCH, use_cpu=True, report_to="none", disable_tqdm=True,
        remove_unused_columns=False,
    )  # fmt: skip
    loop = Trainer(model, arguments, collate)
    rows: Any = [{"number": number} for number in range(len(work.data))]
    return lambda: loop.predict(rows)


def sides_of(work: Work, dynamic_only: bool) -> dict[str, Callable[[], object]]:
    """Ours first, then what it is compared with; `encoding` only where the other side tokenizes too."""
    if work.card.family in HEADS:
        others = {"predict, to the longest": trainer(work, False)}
        if not dynamic_only:
            others["predict, to the maximum"] = trainer(work, True)
        return {"ours": ours(work), **others}
    return {"ours": ours(work), "encoding": encoding(work), "encode": library(work)}


def part_of(card: TaskCard, rows: pa.Table, data: Encoded, examples: int) -> tuple[pa.Table, Encoded]:
    """Some rows, drawn by a seed, and their sequences."""
    chosen = np.sort(np.random.default_rng(1).permutation(rows.num_rows)[:examples])
    return rows.take(pa.array(chosen)), data.take_examples(chosen)


def main() -> None:
    """Print a Markdown table: a line for each thing that a target is compared with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=ROOT / "config.yaml")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--model", required=True, help="whose token ids and tokenizer are read")
    parser.add_argument("--targets", nargs="+", default=["tatoeba", "lareqa", "xnli", "xquad"])
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--batch-tokens", type=int, default=None, help="evaluation.batch_tokens")
    parser.add_argument("--dynamic-only", action="store_true", help="leave out predict with padding to the maximum")
    parser.add_argument("--precision", choices=["fp32", "bf16", "auto"], default="fp32", help="of our side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    grid = load_grid(read_yaml(options.configfile), ROOT)
    tokenizer = options.results / "models" / options.model / "tokenizer"
    special = read_special_tokens(tokenizer)
    config = AutoConfig.for_model(
        "xlm-roberta", vocab_size=AutoTokenizer.from_pretrained(tokenizer).vocab_size, hidden_size=options.hidden,
        num_hidden_layers=options.layers, intermediate_size=4 * options.hidden,
        num_attention_heads=max(1, options.hidden // 64), max_position_embeddings=514, pad_token_id=special.pad,
    )  # fmt: skip
    precision = cpu_choice(options.hidden) if options.precision == "auto" else options.precision
    compute = Compute(torch.device("cpu"), DTYPES[precision])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    write = sys.stdout.write
    write(f"torch {torch.__version__}; ours in {precision}; load {load} on {os.cpu_count()} cores\n\n")
    write("| target | sequences | tokens | ours, CPU s | beside | CPU s | ratio | encoding counted |\n")
    write("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |\n")
    with tempfile.TemporaryDirectory() as folder:
        for target in options.targets:
            card = grid.cards[target]
            rows = read_parquet(options.results / "data" / target / "eval.parquet")
            data = read_encoded(options.results / "encoded" / options.model / target / "eval.arrow")
            work = Work(
                card,
                *part_of(card, rows, data, options.examples),
                tokenizer,
                config,
                Path(folder),
                options.batch_tokens,
                compute,
            )
            sides = sides_of(work, options.dynamic_only)
            for side in sides.values():
                side()
            found = [{name: timed(side) for name, side in sides.items()} for _ in range(options.rounds)]
            median = {name: statistics.median(each[name] for each in found) for name in sides}
            for name in list(sides)[1:]:
                if name == "encoding":
                    continue
                ratio = statistics.median(each[name] / each["ours"] for each in found)
                whole = statistics.median(each[name] / (each["ours"] + each.get("encoding", 0.0)) for each in found)
                cells = [target, str(len(work.data)), f"{work.data.lengths.sum():,}", f"{median['ours']:.2f}", name]
                counted = f"{whole:.2f}" if "encoding" in sides else "–"
                write("| " + " | ".join([*cells, f"{median[name]:.2f}", f"**{ratio:.2f}**", counted]) + " |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
