"""A small hub on loopback: repositories with commits and refs, in the Hugging Face hub's own layout.

Serves what huggingface_hub and datasets ask for: repository information, file trees, files with ETag and
X-Repo-Commit, byte ranges. Takes uploads of models too: new repositories, commits, large files by LFS, with the token
TOKEN only. Faults can be planned: a status a number of times, a connection cut in the middle
of a file, a file that is shorter than announced. Nothing is checked against the real hub at test time.
"""

import base64
import hashlib
import json
import re
import threading
import urllib.parse
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stand_in"


@dataclass
class Repository:
    """Commits (sha -> path -> bytes) and the refs that point at them. Gated ones list, but serve no file."""

    name: str
    kind: str = "dataset"
    gated: bool = False
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes | str], ref: str = "main") -> str:
        """Add a commit that holds exactly `files`, point `ref` at it, and return its hash."""
        stored = {path: item.encode() if isinstance(item, str) else item for path, item in files.items()}
        digest = hashlib.sha1(usedforsecurity=False)
        for path in sorted(stored):
            digest.update(path.encode() + b"\0" + stored[path])
        digest.update(uuid.uuid4().bytes)  # as on the hub, the same files twice are two commits
        sha = digest.hexdigest()
        self.commits[sha] = stored
        self.refs[ref] = sha
        return sha


@dataclass
class Fault:
    """What happens to the next `times` requests whose path holds `where` (and whose method is `method`)."""

    where: str
    times: int
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str | None = None
    cut_after: int | None = None  # bytes of the body before the connection is closed
    shorten_by: int = 0  # bytes missing from the body, although HEAD announced them


class StandInHub:
    """Start with `with StandInHub() as hub:` or `start()`; `url` is what HF_ENDPOINT should be."""

    def __init__(self, port: int = 0) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.large: dict[str, bytes] = {}  # uploaded by LFS: sha256 -> content
        self._lock = threading.Lock()
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> "StandInHub":
        """Serve in a thread of its own."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def reset(self) -> None:
        """Forget repositories, faults and requests."""
        self.repositories.clear()
        self.faults.clear()
        self.requests.clear()
        self.large.clear()

    def repository(self, name: str, kind: str = "dataset", **settings: Any) -> Repository:
        """Add an empty repository."""
        self.repositories[kind, name] = Repository(name, kind, **settings)
        return self.repositories[kind, name]

    def plan(self, where: str, times: int = 1, **settings: Any) -> None:
        """Plan a fault; see Fault."""
        self.faults.append(Fault(where, times, **settings))

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault that meets this request, if one is planned; it is used up by one."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and fault.where in path and fault.method in (None, method):
                    fault.times -= 1
                    return fault
        return None

    def count(self, where: str, method: str | None = None) -> int:
        """Requests so far whose path holds `where`."""
        return sum(where in path and method in (None, verb) for verb, path in self.requests)


_API = re.compile(
    r"^/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)(?:/(?P<verb>revision|tree|paths-info|refs)(?:/(?P<rest>.*))?)?$"
)
_WRITE = re.compile(r"^/api/models/(?P<name>[^/]+/[^/]+)/(?P<verb>preupload|commit)/(?P<revision>[^/]+)$")
_LARGE = re.compile(r"^/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch$")
_FILE = re.compile(r"^/(?:(?P<kind>datasets)/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<rest>.+)$")


class _Handler(BaseHTTPRequestHandler):
    owner: StandInHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: waiting to join them costs 40 ms a file

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `requests` instead of the terminal."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer()

    def do_PUT(self) -> None:
        """The content of a large file, at the address that the batch named."""
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.owner.large[self.path.rpartition("/")[2]] = self._body
        self._json({})

    def _answer(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.owner.requests.append((self.command, path))
        fault = self.owner.fault(self.command, path)
        if fault is not None and fault.status is not None:
            self._error(fault.status, "", dict(fault.headers))
            return
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path == "/api/repos/create" or _WRITE.match(path) or _LARGE.match(path):
            self._write(path)
        elif match := _API.match(path):
            self._api(match)
        elif match := _FILE.match(path):
            self._file(match, fault)
        else:
            self._error(404, "EntryNotFound")

    @property
    def _authorised(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _write(self, path: str) -> None:
        """A new repository, a question of how files are to be sent, or a commit."""
        if not self._authorised:
            self._error(401, "")
            return
        if path == "/api/repos/create":
            self._create(json.loads(self._body))
        elif match := _LARGE.match(path):
            objects = json.loads(self._body)["objects"]
            for item in objects:
                if item["oid"] not in self.owner.large:
                    item["actions"] = {"upload": {"href": f"{self.owner.url}/large/{item['oid']}"}}
            self._json({"transfer": "basic", "objects": objects})
        elif match := _WRITE.match(path):
            repository = self.owner.repositories["model", match["name"]]
            answer = self._preupload if match["verb"] == "preupload" else self._commit_files
            answer(repository, match["revision"])

    def _create(self, asked: Mapping[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if ("model", name) in self.owner.repositories:
            self._json({"url": f"{self.owner.url}/{name}", "error": "You already created this model repo"}, 409)
            return
        private = asked.get("private", asked.get("visibility") == "private")
        self.owner.repository(name, "model", private=bool(private)).commit({".gitattributes": ""})
        self._json({"url": f"{self.owner.url}/{name}", "name": name, "id": name})

    def _preupload(self, repository: Repository, revision: str) -> None:
        """Weights go by LFS, all else in the commit; `oid` is what the hub has of a file."""
        known = repository.commits[repository.refs[revision]]
        files = []
        for item in json.loads(self._body)["files"]:
            path = item["path"]
            large = path.endswith(".safetensors")
            oid = (_sha256(known[path]) if large else _git_hash(known[path])) if path in known else None
            files.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid})
        self._json({"files": files})

    def _commit_files(self, repository: Repository, revision: str) -> None:
        files = dict(repository.commits[repository.refs[revision]])
        for line in self._body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.owner.large[value["oid"]]
        sha = repository.commit(files, revision)
        self._json({"commitUrl": f"{self.owner.url}/{repository.name}/commit/{sha}", "commitOid": sha})

    def _find(self, match: re.Match[str]) -> Repository | None:
        kind = "dataset" if match["kind"] == "datasets" else "model"
        repository = self.owner.repositories.get((kind, match["name"]))
        if repository is None or (repository.private and not self._authorised):
            self._error(401, "RepoNotFound")
            return None
        return repository

    def _commit(self, repository: Repository, rest: str) -> tuple[str, str] | None:
        """(commit, what follows the revision) of 'main/a/b', 'refs/convert/parquet/a/b' or '<sha>/a/b'."""
        for revision in sorted([*repository.refs, *repository.commits], key=len, reverse=True):
            if rest == revision or rest.startswith(f"{revision}/"):
                return repository.refs.get(revision, revision), rest[len(revision) :].strip("/")
        self._error(404, "RevisionNotFound")
        return None

    def _api(self, match: re.Match[str]) -> None:
        repository = self._find(match)
        if repository is None:
            return
        verb, rest = match["verb"], match["rest"] or "main"
        if verb == "refs":
            branches = [{"name": name, "ref": name, "targetCommit": sha} for name, sha in repository.refs.items()]
            self._json({"branches": branches, "converts": [], "tags": []})
            return
        found = self._commit(repository, rest)
        if found is None:
            return
        commit, folder = found
        files = repository.commits[commit]
        if verb == "tree":
            self._tree(files, folder)
        elif verb == "paths-info":
            wanted = urllib.parse.parse_qs(self._body.decode()).get("paths") or json.loads(self._body or b"{}").get(
                "paths"
            )
            self._json([_entry(path, files[path]) for path in wanted if path in files])
        else:
            self._json(
                {
                    "id": repository.name,
                    "sha": commit,
                    "private": repository.private,
                    "gated": "manual" if repository.gated else False,
                    "siblings": [{"rfilename": path} for path in files],
                    "tags": [],
                    "downloads": 0,
                    "lastModified": "2026-01-01T00:00:00.000Z",
                }
            )

    def _tree(self, files: Mapping[str, bytes], folder: str) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
        below = {path: item for path, item in files.items() if not folder or path.startswith(f"{folder}/")}
        if not below:
            self._error(404, "EntryNotFound")
            return
        entries: dict[str, dict[str, Any]] = {}
        for path, item in below.items():
            steps = path[len(folder) :].strip("/").split("/")
            for depth in range(1, len(steps)):
                name = "/".join(filter(None, [folder, *steps[:depth]]))
                if recursive or depth == 1:
                    entries[name] = {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
            if recursive or len(steps) == 1:
                entries[path] = _entry(path, item)
        self._json(list(entries.values()))

    def _file(self, match: re.Match[str], fault: Fault | None) -> None:
        repository = self._find(match)
        if repository is None:
            return
        if repository.gated:
            self._error(401, "GatedRepo")
            return
        found = self._commit(repository, match["rest"])
        if found is None:
            return
        commit, path = found
        content = repository.commits[commit].get(path)
        if content is None:
            self._error(404, "EntryNotFound", {"X-Repo-Commit": commit})
            return
        self._send(content, commit, fault)

    def _send(self, content: bytes, commit: str, fault: Fault | None) -> None:
        etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        body, status = content, 200
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            start, stop = int(asked[1]), int(asked[2] or len(content) - 1) + 1
            body, status = content[start:stop], 206
        if fault is not None and fault.shorten_by and self.command == "GET":
            body = body[: -fault.shorten_by]
        self.send_response(status)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            cut = fault.cut_after if fault is not None else None
            self.wfile.write(body if cut is None else body[:cut])
            if cut is not None:
                self.wfile.flush()
                self.close_connection = True

    def _json(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_hash(content: bytes) -> str:
    """The name of a file's content in git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    oid = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return {"type": "file", "path": path, "oid": oid, "size": len(content)}
