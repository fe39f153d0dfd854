"""Code digests of the jobs of a grid: each script, with the modules that it imports by name."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from stiltgrid.grid.grid import Grid
from stiltgrid.workflow.code_cache import DigestCache
from stiltgrid.workflow.code_digest import code_digest
from stiltgrid.workflow.code_outline import PACKAGE, Outlines

# Methods of a family by the stage that calls them. A change of a method that a stage does not call does not rerun it; a
# method that is not listed counts for every stage.
CALLS = {
    "prepare": frozenset({"examples", "subsample", "with_inventory"}),
    "encode": frozenset({"encode"}),
    "train": frozenset({"subsample", "build_head", "loss", "loss_weight", "predict", "decode", "measure"}),
    "score": frozenset({"build_head", "predict", "layers_per_pass", "decode", "measure", "published"}),
    "export": frozenset({"build_head"}),
}


METHODS = frozenset().union(*CALLS.values())


class Digests:
    """Code digests of the scripts, with the modules that each job imports by name."""

    def __init__(self, grid: Grid, scripts: Path, records: Path | None = None) -> None:
        """`records` is the folder where digests and outlines are cached for the next run."""
        self.grid = grid
        self.scripts = scripts
        self._outlines = Outlines(scripts / PACKAGE, records / "stiltgrid_code.json" if records else None)
        self._cache = DigestCache(scripts, records / "stiltgrid_digests.json" if records else None)
        self._found: dict[tuple[str, tuple[str, ...]], str] = {}

    def save(self) -> None:
        """Write the caches for the next run."""
        self._outlines.save()
        self._cache.save()

    def plain(self, script: str) -> str:
        """Digest of a script that imports nothing by name."""
        return self._digest(script, [])

    def prepare(self, script: str, task: str) -> str:
        """Digest of preparing a task: its family, its adapter and those of its rows' cards, the source."""
        card = self.grid.cards[task]
        involved = [card, *self.grid.origin_cards(task).values()]
        adapters = [f"{PACKAGE}.data.adapters.{each.adapter}" for each in involved if each.adapter]
        return self._digest(script, [*adapters, self._source, self._family(task)], CALLS["prepare"])

    def text(self, script: str) -> str:
        """Digest of reading raw text from the source."""
        return self._digest(script, [self._source])

    def data_file(self, name: str) -> str:
        """Digest of a data file of `analysis`, which the digests of code do not cover."""
        return sha256((self.scripts / PACKAGE / "analysis" / name).read_bytes()).hexdigest()[:16]

    def data_files(self, folder: str) -> str:
        """Digest of the files of a package's folder that are not Python: templates, styles."""
        found = sorted(path for path in (self.scripts / PACKAGE / folder).glob("*.*") if not path.name.endswith(".py"))
        return sha256(b"".join(path.name.encode() + path.read_bytes() for path in found if path.is_file())).hexdigest()[
            :16
        ]

    def families(self, script: str, tasks: Sequence[str]) -> str:
        """Digest of a script that imports the families of these tasks."""
        return self._digest(script, [self._family(task) for task in tasks], CALLS[script.partition("_")[0]])

    def _family(self, task: str) -> str:
        return f"{PACKAGE}.tasks.families.{self.grid.cards[task].family}:FAMILY"

    @property
    def _source(self) -> str:
        return f"{PACKAGE}.data.sources.{self.grid.source}"

    def _digest(self, script: str, modules: Sequence[str], calls: frozenset[str] = METHODS) -> str:
        key = (script, tuple(sorted(set(modules))))
        if key not in self._found:
            path = self.scripts / f"{script}.py"
            name = " ".join([str(path), *key[1]])
            self._found[key] = self._cache.digest(
                name, lambda: code_digest(path, key[1], METHODS - calls, self._outlines)
            )
        return self._found[key]
