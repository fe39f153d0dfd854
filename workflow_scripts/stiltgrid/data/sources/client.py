"""The hub's client, patient and plain-spoken: commits, file lists and downloads, with errors one can act on.

Waiting out 429 and 5xx, resuming a connection that broke, and comparing sizes after a download are
huggingface_hub's own work where it does them; the calls that it does not repeat are repeated here.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from stiltgrid.utils.errors import SourceError, nearest

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
RETRIED = (408, 429, 500, 502, 503, 504)
ATTEMPTS = 5
LONGEST_WAIT = 300.0  # seconds; the hub's rate windows are five minutes


@dataclass(frozen=True)
class Repository:
    """One repository at the commit that its revision stood for when it was asked."""

    name: str
    kind: str  # "dataset" or "model", huggingface_hub's repo_type
    revision: str
    commit: str

    def __str__(self) -> str:
        """As places and errors show it: owner/name@short commit."""
        return f"{self.name}@{self.commit[:8]}"


@dataclass
class HubClient:
    """Calls to one hub (HF_ENDPOINT decides which). `pause` is the first wait in seconds; it doubles."""

    pause: float = 1.0
    resolved: dict[tuple[str, str, str], Repository] = field(default_factory=dict)
    listings: dict[tuple[Repository, str], dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """The HTTP library (its name has changed before) would log a line a request."""
        for library in ("httpx", "httpx2"):
            logging.getLogger(library).setLevel(logging.WARNING)

    def repository(self, name: str, revision: str, kind: str = "dataset") -> Repository:
        """Resolve a revision to its commit, once a run: what is read is one state, even if a branch moves."""
        key = (name, revision, kind)
        if key not in self.resolved:
            from huggingface_hub import HfApi

            what = f"{kind} '{name}' at revision '{revision}'"
            info = self.ask(what, lambda: HfApi().repo_info(name, revision=revision, repo_type=kind), name, kind)
            if not info.sha:
                raise SourceError(f"{what}: the hub names no commit")
            self.resolved[key] = Repository(name, kind, revision, info.sha)
            logger.info("%s is commit %s", what, info.sha)
        return self.resolved[key]

    def files(self, repository: Repository, folder: str = "") -> dict[str, int]:
        """Paths and sizes in bytes of all files of a repository (below a folder); {} for no such folder."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import EntryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        def listed() -> dict[str, int]:
            try:
                tree = HfApi().list_repo_tree(
                    repository.name,
                    path_in_repo=folder or None,
                    recursive=True,
                    revision=repository.commit,
                    repo_type=repository.kind,
                )
                return {item.path: item.size for item in tree if isinstance(item, RepoFile)}
            except EntryNotFoundError:
                return {}

        key = (repository, folder)
        if key not in self.listings:
            self.listings[key] = self.ask(f"files of {repository}", listed, repository.name, repository.kind)
        return self.listings[key]

    def download(self, repository: Repository, path: str) -> Path:
        """A local copy of one file, from huggingface_hub's cache where it is there already."""
        found = self.download_if_any(repository, path)
        if found is None:
            raise SourceError(f"{repository}: no file '{path}'; {nearest(path, self.files(repository))}")
        return found

    def download_if_any(self, repository: Repository, path: str) -> Path | None:
        """Like `download`; None where the repository has no such file."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        def fetched() -> str:
            return str(hf_hub_download(repository.name, path, repo_type=repository.kind, revision=repository.commit))

        try:
            return Path(self.ask(f"{repository} {path}", fetched, repository.name, repository.kind))
        except EntryNotFoundError:
            return None

    def ask(self, what: str, call: Callable[[], Result], name: str, kind: str) -> Result:
        """Call, and call again after a while where the fault may pass; SourceError says what is left to do.

        EntryNotFoundError passes through: what a missing file means is the caller's to say.
        """
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except EntryNotFoundError as error:
                cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else None
                if cause is None:
                    raise
                fault: BaseException = cause
            except Exception as error:  # datasets and huggingface_hub wrap one another's errors: judged below
                fault = _root(error)
            wait = _passing(fault)
            if wait is None or attempt == ATTEMPTS:
                raise SourceError(f"{what}: {_sentence(fault, name, kind, attempt)}") from fault
            seconds = min(LONGEST_WAIT, max(wait, self.pause * 2 ** (attempt - 1)))
            logger.warning("%s: %s; asking again in %.0f s", what, _brief(fault), seconds)
            time.sleep(seconds)
        raise AssertionError("unreachable")

    def provenance(self) -> dict[str, Any]:
        """Every repository asked for: the revision wanted and the commit that it was."""
        found = sorted(self.resolved.values(), key=lambda item: (item.name, item.revision))
        return {f"{item.name}@{item.revision}": item.commit for item in found}


def _root(error: BaseException) -> BaseException:
    """The hub's own error inside those of the libraries around it."""
    from huggingface_hub.errors import HfHubHTTPError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HfHubHTTPError) or _is_network_error(seen):
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def _is_network_error(error: BaseException) -> bool:
    # huggingface_hub's HTTP library has changed its name before; these are the names of its errors.
    return any(
        kind.__name__ in ("TimeoutException", "NetworkError", "RemoteProtocolError") for kind in type(error).__mro__
    )


def _is_cut_short(error: BaseException) -> bool:
    return isinstance(error, OSError) and "Consistency check failed" in str(error)


def _passing(error: BaseException) -> float | None:
    """Seconds that the fault asks to wait (0 where it does not say); None for one that will not pass."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

    if isinstance(error, HfHubHTTPError):
        if error.response is None or error.response.status_code not in RETRIED:
            return None
        window = parse_ratelimit_headers(error.response.headers)
        if window is not None and window.remaining == 0:
            return float(window.reset_in_seconds) + 1
        after = str(error.response.headers.get("Retry-After", "")).strip()
        return float(after) if after.isdigit() else 0.0
    return 0.0 if _is_network_error(error) or _is_cut_short(error) else None


def _brief(error: BaseException) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the hub answered {response.status_code}"
    return (str(error) or type(error).__name__).splitlines()[0]


def _sentence(error: BaseException, name: str, kind: str, attempts: int) -> str:
    """What happened and what the reader can do about it."""
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{name}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, GatedRepoError) or status == 403:
        return (
            f"the {kind} '{name}' is gated: accept its terms at {page} and log in with an account that has access "
            "(`hf auth login`, or HF_TOKEN in the environment)"
        )
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return (
            f"the hub knows no {kind} '{name}', or it is private or gated: check the name at {page}, "
            "and log in if it needs an account (`hf auth login`, or HF_TOKEN in the environment)"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"the {kind} has no such revision; {page}/commits/main lists its commits"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing is fetched; unset it for prepare jobs, or use `source: local`"
    if "scripts are no longer supported" in str(error):
        return "its data come out of a loading script, which nothing here runs; try `revision: refs/convert/parquet`"
    if _is_cut_short(error):
        return f"the download was cut short {attempts} times: {_brief(error)}"
    if _passing(error) is not None:
        return f"{_brief(error)}, {attempts} times; try again later, or use `source: local` with a mirror"
    return _brief(error)
