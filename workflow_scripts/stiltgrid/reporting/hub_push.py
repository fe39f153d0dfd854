"""Exported folders as repositories of the Hugging Face hub."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stiltgrid.data.sources.client import is_network_error
from stiltgrid.reporting.exported_card import CARD
from stiltgrid.utils.errors import SourceError, StiltgridError
from stiltgrid.utils.files import write_json

LOG = logging.getLogger(__name__)
Result = TypeVar("Result")
LONGEST_NAME = 96  # the hub's limit
TOKEN_ADVICE = (
    "set HF_TOKEN to a token that may write to the owner's repositories, or run `hf auth login` (no other credential "
    "is used)"
)


@dataclass(frozen=True)
class PushSettings:
    """Where repositories go: `owner` is a user or an organisation, `prefix` begins every name."""

    owner: str
    prefix: str = ""
    private: bool = True


def repository_name(settings: PushSettings, *parts: str) -> str:
    """The repository of an exported folder: owner/prefix and its parts, joined by hyphens.

    Raises StiltgridError for a name that the hub does not take.
    """
    name = settings.prefix + "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-") for part in parts)
    if (
        len(name) > LONGEST_NAME
        or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)
        or re.search(r"--|\.\.", name)
    ):
        raise StiltgridError(
            f"push: expected a repository name of at most {LONGEST_NAME} letters, digits, dots, hyphens and "
            f"underscores, without two hyphens or dots in a row, found '{name}'; change `push.prefix` or the row's name"
        )
    return f"{settings.owner}/{name}"


def require_token() -> str:
    """The token that huggingface_hub finds; raises StiltgridError where there is none."""
    from huggingface_hub import get_token

    token = get_token()
    if token is None:
        raise StiltgridError(f"push_checkpoints: expected a token for the hub, found none; {TOKEN_ADVICE}")
    return token


def push_folder(folder: Path, repository: str, private: bool, out: Path) -> None:
    """Upload a folder to a repository, made if it is not there, and write what was pushed to `out`.

    The visibility of a repository that exists is not changed. A folder that is there already makes no commit, and
    files of the repository that the folder lacks stay.

    Raises:
        StiltgridError: without a token, or where the hub refuses it.
        SourceError: for a folder that is not an exported model, or a hub that cannot be reached.
    """
    from huggingface_hub import HfApi

    if not (folder / CARD).is_file():
        raise SourceError(f"{folder}: expected an exported model with {CARD}, found none")
    api = HfApi(token=require_token())
    with_errors(repository, lambda: api.create_repo(repository, private=private, exist_ok=True))
    before = with_errors(repository, lambda: api.repo_info(repository)).sha
    info = with_errors(
        repository,
        lambda: api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Export of a trained model", ignore_patterns=[".*"]
        ),
    )
    commit = str(info.oid)
    LOG.info("%s %s at commit %s", repository, "is unchanged" if commit == before else "was pushed", commit)
    record: Mapping[str, Any] = {"repository": repository, "commit": commit, "private_if_new": private}
    write_json(record, out)


def with_errors(repository: str, call: Callable[[], Result]) -> Result:
    """The result of a call to the hub; its errors say what to do."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return call()
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise StiltgridError(
                f"{repository}: the hub refuses the token (status {status}); {TOKEN_ADVICE}"
            ) from error
        raise SourceError(f"{repository}: the hub answers with status {status} ({error})") from error
    except Exception as error:
        if not isinstance(error, (OSError, ValueError)) and not is_network_error(error):
            raise
        raise SourceError(f"{repository}: cannot be pushed ({type(error).__name__}: {error})") from error
