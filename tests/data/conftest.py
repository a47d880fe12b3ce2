import functools
import gzip
import hashlib
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from dlcourse.data import images

FILES = [file.name for file in images.SETS["mnist"].files]


def idx(array):
    """The bytes of an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@functools.cache
def generated():
    """The four files of a small set in MNIST's format: noise of known labels."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (200, 28, 28)), np.arange(200) % 10, rng.integers(0, 256, (50, 28, 28)), np.arange(50) % 10]
    return {name: gzip.compress(idx(array), mtime=0) for name, array in zip(FILES, arrays, strict=True)}


def real_folder():
    """The folder of MNIST's own files where they are present, else None."""
    shared = Path(__file__).parents[2].parent / "shared" / "data"
    for folder in (Path(os.environ.get("DLCOURSE_DATA") or shared), shared):
        if all((folder / "mnist" / name).is_file() for name in FILES):
            return folder / "mnist"
    return None


@functools.cache
def real():
    return {name: (real_folder() / name).read_bytes() for name in FILES}


def described(files):
    """The four files as the registry of data sets describes them."""
    if files is not generated():
        return images.SETS["mnist"].files
    return tuple(
        images.RemoteFile(name, len(content), sha256(content), sha256(gzip.decompress(content))) for name, content in files.items()
    )


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Server:
    """Serves bytes on the loopback address, in order or with one of the faults that networks have."""

    def __init__(self):
        self.files, self.fault, self.requests, self.release = {}, None, [], threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request):
        content, wanted = self.files.get(request.path.strip("/")), request.headers.get("Range")
        self.requests.append((request.path.strip("/"), wanted))
        if content is None or self.fault == "404":
            return request.send_error(404)
        if self.fault == "503":
            return request.send_error(503)
        if self.fault == "corrupt":
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        if self.fault == "short":
            content = content[: len(content) // 2]
        if self.fault == "long":
            content += bytes(1000)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.fault != "no range" else 0
        if start >= len(content):
            return request.send_error(416)
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        body = content[start:]
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        try:
            if self.fault in ("cut", "stall", "trickle"):
                request.wfile.write(body[: len(body) // 2])
                request.wfile.flush()
                if self.fault == "stall":
                    self.release.wait(10)
                elif self.fault == "trickle":
                    for i in range(len(body) // 2, len(body)):
                        request.wfile.write(body[i : i + 1])
                        if self.release.wait(0.05):
                            break
                request.close_connection = True
            else:
                request.wfile.write(body)
        except OSError:
            pass  # the client hung up, as it should

    def close(self):
        self.release.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture(params=["generated", "real"] if real_folder() else ["generated"])
def files(request):
    """{name: bytes} of the four files, generated and, where they are present, MNIST's own."""
    return generated() if request.param == "generated" else real()


@pytest.fixture
def mirrors():
    """Two servers."""
    servers = [Server(), Server()]
    yield servers
    for server in servers:
        server.close()


@pytest.fixture
def mnist(files, mirrors, tmp_path, monkeypatch):
    """The data set "mnist" with these files, these mirrors and an empty cache -> the folder of the cache."""
    for server in mirrors:
        server.files = files
    entry = images.SETS["mnist"]._replace(files=described(files), mirrors=tuple(server.url for server in mirrors))
    monkeypatch.setitem(images.SETS, "mnist", entry)
    monkeypatch.delenv("DLCOURSE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("DLCOURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist"
