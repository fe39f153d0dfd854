"""Client of the Hugging Face hub: commits, file lists and downloads, with retries and errors a user can act on.

huggingface_hub itself resumes broken downloads and compares file sizes. Calls that it does not retry are retried
here after responses 408, 429 and 5xx and after network errors.
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
    """A repository at a commit: the one that `revision` pointed to when it was resolved."""

    name: str
    kind: str  # "dataset" or "model", huggingface_hub's repo_type
    revision: str
    commit: str

    def __str__(self) -> str:
        """As places and errors show it: owner/name@short commit."""
        return f"{self.name}@{self.commit[:8]}"


@dataclass
class HubClient:
    """Calls to one hub (chosen by HF_ENDPOINT). `pause` is the first wait in seconds and doubles with each retry."""

    pause: float = 1.0
    resolved: dict[tuple[str, str, str], Repository] = field(default_factory=dict)
    listings: dict[tuple[Repository, str], dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Silence the HTTP library, which logs every request; its name differs between versions of huggingface_hub."""
        for library in ("httpx", "httpx2"):
            logging.getLogger(library).setLevel(logging.WARNING)

    def repository(self, name: str, revision: str, kind: str = "dataset") -> Repository:
        """The repository at the commit of a revision; cached, so that a run reads one state even if a branch moves."""
        key = (name, revision, kind)
        if key not in self.resolved:
            from huggingface_hub import HfApi

            what = f"{kind} '{name}' at revision '{revision}'"
            info = self.with_retries(
                what, lambda: HfApi().repo_info(name, revision=revision, repo_type=kind), name, kind
            )
            if not info.sha:
                raise SourceError(f"{what}: the hub names no commit")
            self.resolved[key] = Repository(name, kind, revision, info.sha)
            logger.info("%s is commit %s", what, info.sha)
        return self.resolved[key]

    def files(self, repository: Repository, folder: str = "") -> dict[str, int]:
        """Paths and sizes in bytes of all files of a repository, or of a folder in it; {} without such a folder."""
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
            self.listings[key] = self.with_retries(f"files of {repository}", listed, repository.name, repository.kind)
        return self.listings[key]

    def download(self, repository: Repository, path: str) -> Path:
        """Path of a local copy of one file, downloaded unless huggingface_hub's cache has it.

        Raises SourceError where the repository has no such file.
        """
        found = self.download_if_any(repository, path)
        if found is None:
            raise SourceError(f"{repository}: no file '{path}'; {nearest(path, self.files(repository))}")
        return found

    def download_if_any(self, repository: Repository, path: str) -> Path | None:
        """Like `download`, but None where the repository has no such file."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        def fetched() -> str:
            return str(hf_hub_download(repository.name, path, repo_type=repository.kind, revision=repository.commit))

        try:
            return Path(self.with_retries(f"{repository} {path}", fetched, repository.name, repository.kind))
        except EntryNotFoundError:
            return None

    def with_retries(self, what: str, call: Callable[[], Result], name: str, kind: str) -> Result:
        """The result of `call`, which is repeated after errors that may be temporary.

        `what` names the call in messages; `name` and `kind` are the repository's. Raises SourceError with advice for
        every other error; EntryNotFoundError is passed on, since only the caller knows what a missing file means.
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
            except Exception as error:  # datasets and huggingface_hub wrap each other's errors: _root finds the cause
                fault = _root(error)
            wait = _retry_after(fault)
            if wait is None or attempt == ATTEMPTS:
                raise SourceError(f"{what}: {_advice(fault, name, kind, attempt)}") from fault
            seconds = min(LONGEST_WAIT, max(wait, self.pause * 2 ** (attempt - 1)))
            logger.warning("%s: %s; retrying in %.0f s", what, _brief(fault), seconds)
            time.sleep(seconds)
        raise AssertionError("unreachable")

    def provenance(self) -> dict[str, Any]:
        """The commit of every repository that was resolved, by `name@revision`."""
        found = sorted(self.resolved.values(), key=lambda item: (item.name, item.revision))
        return {f"{item.name}@{item.revision}": item.commit for item in found}


def _root(error: BaseException) -> BaseException:
    """The hub's or the network's error in a chain of exceptions; the outermost exception if there is none."""
    from huggingface_hub.errors import HfHubHTTPError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HfHubHTTPError) or is_network_error(seen):
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def is_network_error(error: BaseException) -> bool:
    """Whether the hub could not be reached: an error of the HTTP library that huggingface_hub uses.

    The library has changed its name before, so its errors are recognised by their names.
    """
    return any(
        kind.__name__ in ("TimeoutException", "NetworkError", "RemoteProtocolError") for kind in type(error).__mro__
    )


def _is_cut_short(error: BaseException) -> bool:
    return isinstance(error, OSError) and "Consistency check failed" in str(error)


def _retry_after(error: BaseException) -> float | None:
    """Seconds to wait before a retry (0 where the response does not say); None for a permanent error."""
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
    return 0.0 if is_network_error(error) or _is_cut_short(error) else None


def _brief(error: BaseException) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the hub answered {response.status_code}"
    return (str(error) or type(error).__name__).splitlines()[0]


def _advice(error: BaseException, name: str, kind: str, attempts: int) -> str:
    """What happened, and what the user can do about it."""
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
        return "its data come from a loading script, which is never run here; try `revision: refs/convert/parquet`"
    if _is_cut_short(error):
        return f"the download was cut short {attempts} times: {_brief(error)}"
    if _retry_after(error) is not None:
        return f"{_brief(error)}, {attempts} times; try again later, or use `source: local` with a mirror"
    return _brief(error)
