"""What the report about a machine says of the Hugging Face hub: reachable, token, gated repositories, cards, cache.

Nothing here waits for long: each call has a time limit, and the hub is asked for repositories only where it answers.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stiltgrid.data.sources.hub import section_for
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid
from stiltgrid.preparation.mirror import needs
from stiltgrid.workflow.findings import GIGABYTE, Finding

SECONDS = 5.0  # for one call to the hub
DEADLINE = 20.0  # for all calls of one finding; looking up a host's name has no limit of its own
AT_ONCE = 8
TOKEN_ADVICE = "a token from https://huggingface.co/settings/tokens, as HF_TOKEN or by `hf auth login`"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Wanted:
    """A repository that the experiment reads, and the tasks or models that need it."""

    name: str
    kind: str  # "dataset" or "model"
    users: tuple[str, ...]


def hub_findings(grid: Grid) -> list[Finding]:
    """Findings on the hub, its repositories, the cards of the selected tasks, and the cache."""
    wanted = wanted_repositories(grid)
    if not wanted:
        return [Finding("hub", "this experiment reads nothing from it"), cache()]
    reachable, finding = hub(len(wanted))
    gated = repositories(wanted) if reachable else Finding("repositories", f"{len(wanted)}, not asked for")
    return [finding, gated, cards(grid), cache()]


def wanted_repositories(grid: Grid) -> list[Wanted]:
    """The repositories of the selected tasks, where the source is the hub, and of the models."""
    users: dict[tuple[str, str], set[str]] = {}
    for card, language in _hub_needs(grid):
        users.setdefault((section_for(card, language)["path"], "dataset"), set()).add(card.name)
    for model in grid.models.values():
        if model.hub is not None:
            users.setdefault((model.hub, "model"), set()).add(model.name)
    return [Wanted(name, kind, tuple(sorted(who))) for (name, kind), who in sorted(users.items())]


def hub(count: int) -> tuple[bool, Finding]:
    """Whether the hub answers, and whether it knows the token."""
    from huggingface_hub import constants

    place = f"{constants.ENDPOINT}, {count} repositories"
    if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        return False, Finding(
            "hub", f"{place}: not asked, HF_HUB_OFFLINE is set", "prepare and fetch jobs need the hub"
        )
    status = within(DEADLINE, _token_status, OSError("no answer"))
    if isinstance(status, BaseException):
        advice = "check the network, a proxy (HTTPS_PROXY) or HF_ENDPOINT; without the hub: docs/data.md, a mirror"
        return False, Finding("hub", f"{place}: cannot be reached ({type(status).__name__})", advice)
    token = token_origin()
    if token is None:
        return True, Finding("hub", f"{place}: reachable; no token", f"gated data sets and models need {TOKEN_ADVICE}")
    if status == 401:
        return True, Finding("hub", f"{place}: reachable; it refuses the token ({token})", f"set {TOKEN_ADVICE}")
    return True, Finding("hub", f"{place}: reachable; token from {token}")


def token_origin() -> str | None:
    """Where huggingface_hub finds a token; None where there is none. The token itself is not shown."""
    from huggingface_hub import constants, get_token

    if not get_token():
        return None
    named = next((name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)), None)
    return named or constants.HF_TOKEN_PATH


def repositories(wanted: list[Wanted]) -> Finding:
    """Which repositories are gated or missing for this user."""
    problems = within(DEADLINE, lambda: _problems(wanted), None)
    if not isinstance(problems, list):
        return Finding("repositories", f"{len(wanted)}, not all answered in {DEADLINE:.0f} s")
    if not problems:
        return Finding("repositories", f"{len(wanted)}, all open to you")
    return Finding(
        "repositories", f"{len(wanted)}; {'; '.join(problems)}", f"ask for access on its page; {TOKEN_ADVICE}"
    )


def cards(grid: Grid) -> Finding:
    """Selected tasks whose hub section nobody has verified."""
    found = {}
    for card, language in _hub_needs(grid):
        section = section_for(card, language)
        if not section["verified"]:
            found[card.name] = section.get("note", "the card does not say what")
    if not found:
        return Finding("cards", "the hub sections of all selected tasks were verified")
    notes = "; ".join(f"{name}: {note}" for name, note in sorted(found.items()))
    return Finding("cards", f"never verified on the hub: {', '.join(sorted(found))}", notes)


def cache() -> Finding:
    """Where downloads are kept, and the space there."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    free = shutil.disk_usage(there).free / GIGABYTE
    advice = "" if os.access(there, os.W_OK) else "it cannot be written; "
    return Finding("cache", f"{free:.1f} GB free in {folder}", f"{advice}HF_HOME sets another place for downloads")


def within(seconds: float, call: Callable[[], Result], late: Any) -> Result | BaseException | Any:
    """The result of `call`, its exception, or `late` where it takes longer; it then goes on in its thread."""
    answer: list[Any] = []

    def work() -> None:
        try:
            answer.append(call())
        except Exception as error:
            answer.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[0] if answer else late


def _hub_needs(grid: Grid) -> Iterable[tuple[TaskCard, str]]:
    """Cards with a hub section and the languages that are read of each."""
    if grid.source != "hub":
        return []
    return [(need.card, need.language) for need in needs(grid) if need.card.hub is not None]


def _token_status() -> int:
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session  # type: ignore[attr-defined]

    address = f"{constants.ENDPOINT}/api/whoami-v2"
    return int(get_session().get(address, headers=build_hf_headers(), timeout=SECONDS).status_code)


def _problems(wanted: list[Wanted]) -> list[str]:
    """What keeps this user from repositories. After one call without an answer no further one begins."""
    silent = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [problem for problem in pool.map(lambda each: _problem(each, silent), wanted) if problem]


def _problem(wanted: Wanted, silent: threading.Event) -> str | None:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import build_hf_headers, get_session  # type: ignore[attr-defined]

    what = f"{wanted.kind} {wanted.name} ({', '.join(wanted.users)})"
    if silent.is_set():
        return f"{what}: not asked"
    try:
        info = HfApi().repo_info(wanted.name, repo_type=wanted.kind, timeout=SECONDS)
        if not getattr(info, "gated", False):
            return None
        address = f"{constants.ENDPOINT}/api/{wanted.kind}s/{wanted.name}/auth-check"
        status = get_session().get(address, headers=build_hf_headers(), timeout=SECONDS).status_code
        return None if status == 200 else f"{what}: gated, and you have no access"
    except HfHubHTTPError as error:
        status = error.response.status_code
        return f"{what}: not found, or private" if status in (401, 403, 404) else f"{what}: status {status}"
    except Exception as error:
        silent.set()
        return f"{what}: no answer ({type(error).__name__})"
