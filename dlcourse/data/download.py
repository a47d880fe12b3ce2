"""Downloads that resume, are checked, and never leave a file that only looks whole."""

import contextlib
import hashlib
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from dlcourse.errors import need

TIMEOUT = (
    30.0  # seconds to connect, to wait for the next bytes, and over which the speed is measured
)
SLOWEST = 1024  # bytes a second; below it a mirror counts as stalled


class RemoteFile(NamedTuple):
    """A file to download, and the SHA-256 of its bytes as they are there and, for a .gz alone, uncompressed."""

    name: str
    bytes: int
    sha256: str
    unpacked: str | None = None


def cache_folder():
    """The folder for downloads: DLCOURSE_CACHE, else the user's cache folder of the operating system."""
    if os.environ.get("DLCOURSE_CACHE"):
        return Path(os.environ["DLCOURSE_CACHE"])
    return Path(need("pooch", extra="data").os_cache("dlcourse"))


def fetch(file, folder, mirrors, timeout=TIMEOUT, progress="auto"):
    """The path of `file` (name, bytes, sha256) in `folder`, downloaded from the first of `mirrors` that delivers it.

    A file that is there and right is used as it is, a damaged one is replaced. Raises RuntimeError that tells what each mirror
    answered, OSError when the folder can't be written."""
    pooch = need("pooch", extra="data")
    requests = need("requests", extra="data")
    pooch.get_logger().setLevel("WARNING")  # our own sentences are enough
    failures = []
    for mirror in mirrors:
        try:
            path = pooch.retrieve(
                mirror + file.name,
                f"sha256:{file.sha256}",
                file.name,
                folder,
                downloader=Downloader(file, folder, timeout, progress),
            )
            return Path(path)
        except (Refused, requests.RequestException) as error:
            failures.append(f"{urlsplit(mirror).hostname} {_reason(error)}")
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot write {folder} ({error.strerror or error}): free some space or set DLCOURSE_CACHE to another folder",
            ) from error
    raise RuntimeError(
        f"cannot download {file.name}: {'; '.join(failures)}: run it again later (what has arrived is kept), "
        f"or put the file into a folder {folder.name} of a folder that DLCOURSE_DATA names"
    )


class Refused(Exception):
    """A mirror did not deliver the file; the text tells why."""


class Downloader:
    """Downloader for pooch: continues `folder/NAME.part` where it ended, and hands it over only when its SHA-256 is right."""

    def __init__(self, file, folder, timeout, progress):
        self.file, self.part, self.timeout = file, Path(folder) / f"{file.name}.part", timeout
        self.progress = sys.stderr.isatty() if progress == "auto" else progress

    def __call__(self, url, output_file, pooch):
        resumed = self._receive(url)
        if not self._matches():
            self.part.unlink()  # of no use to a later run either
            if not resumed:
                raise Refused("sent a corrupt file (its SHA-256 is wrong)")
            # the part that was there may have been the damaged one: once more, from the start
            self._receive(url)
            if not self._matches():
                self.part.unlink()
                raise Refused("sent a corrupt file (its SHA-256 is wrong)")
        os.replace(self.part, output_file)

    def _matches(self):
        with open(self.part, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == self.file.sha256

    def _receive(self, url):
        """Append to the part file until it is complete -> whether an earlier part was continued."""
        requests = need("requests", extra="data")
        start = self.part.stat().st_size if self.part.exists() else 0
        if start >= self.file.bytes:
            return True  # whole or too long: its SHA-256 decides
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with requests.get(url, stream=True, timeout=self.timeout, headers=headers) as response:
            if response.status_code >= 400:
                raise Refused(f"answers {response.status_code} ({response.reason})")
            continued = response.status_code == 206 and response.headers.get(
                "Content-Range", ""
            ).startswith(f"bytes {start}-")
            start = start if continued else 0
            announced = start + int(response.headers.get("Content-Length", self.file.bytes - start))
            with open(self.part, "ab" if continued else "wb") as output:
                received = start + self._copy(response.raw, output, start)
        if received < announced <= self.file.bytes:
            raise Refused(f"broke off after {received:,} of {announced:,} bytes")
        if received != self.file.bytes:
            self.part.unlink()  # the mirror's own file is cut or changed: nothing to continue
            raise Refused(f"has a file of {announced:,} bytes, not {self.file.bytes:,}")
        return start > 0

    def _copy(self, raw, output, start):
        """Copy the response to `output` -> bytes received; a connection that breaks ends it early."""
        http_error = need("urllib3.exceptions", extra="data")
        count, window, since = 0, 0, time.monotonic()
        with _bar(self.file, start, self.progress) as bar:
            while True:
                try:
                    # what has arrived, without waiting for 64 KB: a trickle is noticed
                    chunk = raw.read1(1 << 16)
                except http_error.ReadTimeoutError:
                    raise Refused(f"sent nothing for {self.timeout:g} seconds") from None
                except http_error.HTTPError:
                    return count
                # the end, or a stream that is not our file
                if not chunk or start + count > self.file.bytes:
                    return count
                output.write(chunk)
                if bar is not None:
                    bar.update(len(chunk))
                count, window = count + len(chunk), window + len(chunk)
                if time.monotonic() - since > self.timeout:
                    if window < SLOWEST * self.timeout:
                        raise Refused(f"is too slow ({window / self.timeout:.0f} bytes a second)")
                    window, since = 0, time.monotonic()


def _bar(file, start, progress):
    if not progress:
        return contextlib.nullcontext()
    return need("tqdm", extra="data").tqdm(
        total=file.bytes, initial=start, unit="B", unit_scale=True, desc=file.name, leave=False
    )


def _reason(error):
    if isinstance(error, Refused):
        return str(error)
    exceptions = need("requests.exceptions", extra="data")
    if isinstance(error, exceptions.Timeout):
        return "did not answer in time"
    if isinstance(error, exceptions.SSLError):
        return "shows a certificate that is not trusted here"
    if isinstance(error, exceptions.ProxyError):
        return "cannot be reached through the proxy"
    return "cannot be reached (no network?)"
