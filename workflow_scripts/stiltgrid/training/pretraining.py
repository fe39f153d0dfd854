"""Pretraining of a language model on raw text; its state is saved at intervals."""

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from stiltgrid.grid.params import as_params
from stiltgrid.modeling.device import Compute, prepare_compute
from stiltgrid.modeling.optimizers import Muon, adamw, decay_groups, linear_schedule, set_rate, split_matrices
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.training.language_modelling import (
    PackedText,
    PretrainSettings,
    build_language_model,
    head_modules,
    head_state,
    mask_tokens,
)
from stiltgrid.training.micro_batches import out_of_memory_reason
from stiltgrid.training.resume import StateSaver
from stiltgrid.training.saved_state import (
    SavedState,
    numbered,
    optimizer_tensors,
    random_state,
    restore_optimizer,
    restore_parameters,
    restore_random_state,
)
from stiltgrid.utils.checksums import seal_weights
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.files import atomic_path, write_json
from stiltgrid.utils.logs import publish
from stiltgrid.utils.provenance import describe_device, versions
from stiltgrid.utils.seeding import derive_seed

LOG = logging.getLogger(__name__)
LOG_LINES = 400


@dataclass(frozen=True)
class PretrainingPaths:
    """Files of a pretraining job: a parquet file of raw text, the tokenizer's folder, and the output folder."""

    text: str | os.PathLike[str]
    tokenizer: str | os.PathLike[str]
    out: str | os.PathLike[str]


def train_language_model(
    paths: PretrainingPaths,
    pretrain: Mapping[str, Any],
    threads: int,
    provenance: Mapping[str, Any] | None = None,
    saver: StateSaver | None = None,
) -> None:
    """Train a language model and write its backbone as a Hugging Face folder.

    The folder also gets `lm_head.safetensors` (the head, to continue the objective; without tied weights),
    `pretraining.json` and `log.jsonl`. Raises StiltgridError for a loss that is not finite.
    """
    started, saver = time.monotonic(), saver or StateSaver()
    settings = PretrainSettings.read(pretrain)
    compute = prepare_compute("auto", saver.threads(threads))
    tokenizer = SubwordTokenizer(paths.tokenizer)
    torch.manual_seed(derive_seed(settings.seed, "pretrain"))
    model = build_language_model(settings, tokenizer).to(compute.device)
    text = PackedText(paths.text, tokenizer, settings.sequence_length, settings.seed)
    LOG.info("pretraining on %d tokens in %d languages", sum(text.tokens.values()), len(text.languages))
    log = LanguageTrainer(model, settings, tokenizer, compute).run(text, saver)
    with atomic_path(paths.out) as folder:
        base = model.base_model
        base.to(compute.dtype).save_pretrained(str(folder), max_shard_size="1000GB")
        save_file(head_state(model), folder / "lm_head.safetensors", {"format": "pt"})
        for name in ("model.safetensors", "lm_head.safetensors"):
            seal_weights(folder / name)
        write_json(
            {
                "settings": as_params(settings),
                "tokens": text.tokens,
                "final_loss": log[-1]["loss"],
                "seconds": round(time.monotonic() - started, 3),
                "versions": versions(),
                **describe_device(),
                "provenance": as_params(provenance or {}),
            },
            folder / "pretraining.json",
        )
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log), encoding="utf-8")
    saver.remove()
    seconds = time.monotonic() - started
    LOG.info("pretrained: loss %.3f after %d steps, %.0f s", log[-1]["loss"], settings.steps, seconds)


class LanguageTrainer:
    """The training loop of language modelling: packed rows, one optimizer step after another."""

    def __init__(self, model: Any, settings: PretrainSettings, tokenizer: SubwordTokenizer, compute: Compute) -> None:
        self.model, self.settings, self.compute = model, settings, compute
        self.heads = [module for _, module in head_modules(model)]
        self.mask = tokenizer.mask
        self.special = np.asarray(
            sorted(
                {
                    tokenizer.pad,
                    *tokenizer.prefix,
                    *tokenizer.middle,
                    *tokenizer.suffix,
                    *([] if tokenizer.mask is None else [tokenizer.mask]),
                }
            )
        )
        self.vocabulary = tokenizer.vocabulary_size
        self.random = np.random.default_rng(derive_seed(settings.seed, "masks"))
        self.optimizers = self._optimizers()
        self.step, self.chunks = 0, 1  # a step's rows pass in so many chunks
        self.log: list[dict[str, Any]] = []

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        settings = self.settings
        matrices = split_matrices(self.model.base_model)[0] if settings.optimizer == "muon" else []
        taken = {id(value) for value in matrices}
        rest = [value for value in self.model.parameters() if id(value) not in taken]
        found: list[torch.optim.Optimizer] = [
            adamw(decay_groups(rest, settings.weight_decay), settings.learning_rate, 1e-8, (0.9, 0.98))
        ]
        if matrices:
            found.append(Muon(matrices, settings.muon_learning_rate, weight_decay=settings.weight_decay))
        return found

    def run(self, text: PackedText, saver: StateSaver) -> list[dict[str, Any]]:
        """Train for the configured steps; returns log lines with every n-th loss.

        Raises StiltgridError for a loss that is not finite.
        """
        settings = self.settings
        rows = max(1, settings.tokens_per_step // settings.sequence_length)
        every = max(1, settings.steps // LOG_LINES)
        self.model.train()
        self._restore(saver)
        publish({"begins_after": 0, "resumes_after": self.step})
        # Drawing is cheap: the rows of steps already taken are drawn again and skipped.
        steps = islice(
            text.steps(settings.steps, rows, settings.language_exponent, settings.seed), self.step, settings.steps
        )
        bar = tqdm(steps, initial=self.step, total=settings.steps, desc="pretrain", disable=None, leave=False)
        with saver.catch_signals():
            for ids in bar:
                saver.before_step(self.saved_state)
                share = linear_schedule(self.step, settings.steps, settings.warmup_share)
                set_rate(self.optimizers, share)
                loss = self._gradients(settings.rows(ids, self.step))
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_grad_norm)
                for optimizer in self.optimizers:
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                self.step += 1
                if self.step % every == 0 or self.step == settings.steps:
                    value = loss.item()
                    if not np.isfinite(value):
                        raise StiltgridError(f"pretraining: loss {value} at step {self.step}; lower the learning rate")
                    self.log.append({"step": self.step, "loss": value, "learning_rate": share * settings.learning_rate})
                    publish(self.log[-1])
        return self.log

    def saved_state(self) -> SavedState:
        """All that a resumed job needs; the position in the text follows from the step."""
        tensors = {
            **numbered("parameter.", list(self.model.parameters())),
            **{f"random.{name}": value for name, value in random_state().items()},
        }
        for number, optimizer in enumerate(self.optimizers):
            tensors |= {f"optimizer{number}.{name}": value for name, value in optimizer_tensors(optimizer).items()}
        facts = {"step": self.step, "chunks": self.chunks, "log": self.log, "masks": self.random.bit_generator.state}
        return SavedState(tensors, facts)

    def _restore(self, saver: StateSaver) -> None:
        saved = saver.load()
        if saved is None:
            return
        restore_parameters(list(self.model.parameters()), saved.below("parameter."))
        for number, optimizer in enumerate(self.optimizers):
            restore_optimizer(optimizer, saved.below(f"optimizer{number}."))
        self.random.bit_generator.state = saved.facts["masks"]
        self.step, self.chunks, self.log = saved.facts["step"], saved.facts["chunks"], saved.facts["log"]
        restore_random_state(saved.below("random."))
        LOG.info("pretraining resumed after step %d of %d", self.step, self.settings.steps)

    def _gradients(self, ids: np.ndarray) -> torch.Tensor:
        """The mean loss of a step's rows; when memory runs out, rows pass in more and smaller chunks from then on."""
        inputs, places, targets = self._inputs(ids)
        while True:
            try:
                return self._in_chunks(inputs, places, targets)
            except torch.OutOfMemoryError as error:
                reason = out_of_memory_reason(error)
            # Outside the handler: the error's traceback would hold the memory that is to be freed.
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            if self.chunks >= len(inputs):
                raise StiltgridError(
                    f"pretraining, step {self.step + 1}: out of memory ({reason}) with one row of "
                    f"{inputs.shape[1]} tokens at a time; lower sequence_length or the model's size"
                )
            self.chunks = min(len(inputs), 2 * self.chunks)
            LOG.warning(
                "pretraining, step %d: out of memory; a step's %d rows now pass in %d chunks (%s)",
                self.step + 1,
                len(inputs),
                self.chunks,
                reason,
            )

    def _in_chunks(self, inputs: np.ndarray, places: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        total = torch.zeros((), device=self.compute.device)
        width, before = inputs.shape[1], 0
        for chunk in np.array_split(inputs, self.chunks):
            chosen = (places >= before) & (places < before + len(chunk) * width)
            if chosen.any():
                loss = self._loss(chunk, places[chosen] - before, targets[chosen]) * (chosen.sum() / len(places))
                loss.backward()
                total += loss.detach()
            before += len(chunk) * width
        return total

    def _inputs(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs, the flat positions to predict from, and the tokens to predict."""
        if self.settings.objective == "causal":
            places = np.flatnonzero(np.arange(ids.size) % ids.shape[1] != ids.shape[1] - 1)
            return ids, places, ids.reshape(-1)[places + 1]
        assert self.mask is not None
        inputs, places = mask_tokens(
            ids, self.settings.mask_rate, self.mask, self.special, self.vocabulary, self.random
        )
        return inputs, places, ids.reshape(-1)[places]

    def _loss(self, inputs: np.ndarray, places: np.ndarray, targets: np.ndarray) -> torch.Tensor:
        device = self.compute.device
        with self.compute.autocast():
            hidden = self.model.base_model(torch.from_numpy(inputs).long().to(device)).last_hidden_state
            states = hidden.reshape(-1, hidden.shape[-1])[torch.from_numpy(places).to(device)]
            for head in self.heads:
                states = head(states)
        return cross_entropy(states.float(), torch.from_numpy(targets).long().to(device))
