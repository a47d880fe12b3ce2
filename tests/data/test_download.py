import errno
import io
import socket

import pytest
import requests

from dlcourse import data
from dlcourse.data import download, images

PATIENT, SHORT = 20.0, 0.6  # seconds: for servers that answer, and for those that never will


def fetch(mnist, number=2, **options):
    remote = images.SETS["mnist"]
    return download.fetch(remote.files[number], mnist, remote.mirrors, **{"timeout": PATIENT, "progress": False} | options)


def name_and_bytes(files, number=2):
    return list(files.items())[number]


def assert_nothing_to_trust(mnist, name, content):
    """No file under the final name, and nothing but a part that begins like the file."""
    left = list(mnist.iterdir()) if mnist.exists() else []
    assert [path.name for path in left] in ([], [f"{name}.part"])
    for path in left:
        assert content.startswith(path.read_bytes())


def test_download_checks_and_caches(mnist, files, mirrors):
    name, content = name_and_bytes(files)
    assert fetch(mnist).read_bytes() == content
    assert fetch(mnist) == mnist / name
    assert mirrors[0].requests == [(name, None)], "the second call must not ask the server"
    assert [path.name for path in mnist.iterdir()] == [name]


def test_load_downloads_all_four_files(mnist, files, mirrors):
    dataset = data.load("mnist")
    assert len(mirrors[0].requests) == 4
    assert not mirrors[1].requests
    assert dataset.shape == (28, 28, 1)
    assert "in the cache" in data.where("mnist")
    data.load("mnist")
    assert len(mirrors[0].requests) == 4


@pytest.mark.parametrize("fault", [None, "no range"])
def test_a_broken_download_goes_on_where_it_ended(mnist, files, mirrors, fault):
    name, content = name_and_bytes(files)
    half = len(content) // 2
    mnist.mkdir(parents=True)
    (mnist / f"{name}.part").write_bytes(content[:half])
    mirrors[0].fault = fault  # a server without ranges sends it all
    assert fetch(mnist).read_bytes() == content
    assert mirrors[0].requests == [(name, f"bytes={half}-")]
    assert not mirrors[1].requests


@pytest.mark.parametrize("size", ["shorter", "equal", "longer"])
def test_a_part_that_no_longer_matches_is_dropped(mnist, files, size):
    name, content = name_and_bytes(files)
    mnist.mkdir(parents=True)
    length = {"shorter": len(content) // 3, "equal": len(content), "longer": len(content) + 5}[size]
    (mnist / f"{name}.part").write_bytes(b"x" * length)
    assert fetch(mnist).read_bytes() == content


def test_a_bad_part_and_a_bad_mirror(mnist, files, mirrors):
    name, _ = name_and_bytes(files)
    mnist.mkdir(parents=True)
    (mnist / f"{name}.part").write_bytes(b"x" * 10)
    for server in mirrors:
        server.fault = "corrupt"
    with pytest.raises(RuntimeError, match="corrupt file"):
        fetch(mnist)
    assert not list(mnist.iterdir())


def test_a_damaged_file_in_the_cache_is_replaced(mnist, files):
    name, content = name_and_bytes(files)
    mnist.mkdir(parents=True)
    (mnist / name).write_bytes(content[:-1])
    assert fetch(mnist).read_bytes() == content


FAULTS = {
    "404": "answers 404",
    "503": "answers 503",
    "corrupt": "corrupt file",
    "short": "has a file of",
    "long": "has a file of",
    "cut": "broke off after",
    "stall": "sent nothing for 0.6 seconds",
    "trickle": "is too slow",
}


def timeout(fault):
    return SHORT if fault in ("stall", "trickle") else PATIENT


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_mirror_takes_over(mnist, files, mirrors, fault):
    _, content = name_and_bytes(files)
    mirrors[0].fault = fault
    assert fetch(mnist, timeout=timeout(fault)).read_bytes() == content
    assert mirrors[0].requests
    assert mirrors[1].requests


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_one_sentence_and_leaves_nothing_to_trust(mnist, files, mirrors, fault):
    name, content = name_and_bytes(files)
    for server in mirrors:
        server.fault = fault
    with pytest.raises(RuntimeError, match=FAULTS[fault]) as caught:
        fetch(mnist, timeout=timeout(fault))
    text = str(caught.value)
    assert text.startswith(f"cannot download {name}")
    assert "DLCOURSE_DATA" in text
    assert "\n" not in text
    assert_nothing_to_trust(mnist, name, content)
    for server in mirrors:
        server.fault = None
    assert fetch(mnist).read_bytes() == content


def test_no_network(mnist, files, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setitem(images.SETS, "mnist", images.SETS["mnist"]._replace(mirrors=(f"http://127.0.0.1:{port}/",)))
    with pytest.raises(RuntimeError, match=r"cannot be reached \(no network\?\)"):
        fetch(mnist)


def test_a_server_that_does_not_answer(mnist, monkeypatch):
    with socket.socket() as silent:  # accepts, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setitem(images.SETS, "mnist", images.SETS["mnist"]._replace(mirrors=(mirror,)))
        with pytest.raises(RuntimeError, match="did not answer in time"):
            fetch(mnist, timeout=SHORT)


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [(requests.exceptions.SSLError, "a certificate that is not trusted"), (requests.exceptions.ProxyError, "through the proxy")],
)
def test_other_ways_not_to_be_reached(mnist, monkeypatch, raised, sentence):
    def get(*_, **__):
        raise raised("a long text of another library")

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(RuntimeError, match=sentence):
        fetch(mnist)


def test_ctrl_c_keeps_the_part(mnist, files, mirrors, monkeypatch):
    name, content = name_and_bytes(files)
    mirrors[0].fault = "trickle"
    monkeypatch.setattr(download.time, "monotonic", interrupt_at_call(3))
    with pytest.raises(KeyboardInterrupt):
        fetch(mnist, timeout=PATIENT)
    monkeypatch.undo()
    assert_nothing_to_trust(mnist, name, content)
    assert (mnist / f"{name}.part").exists()


def interrupt_at_call(number):
    calls = iter(range(1, number))

    def clock():
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return 0.0

    return clock


def test_a_full_disk_is_one_sentence(mnist, files, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "open", lambda *_: Full(), raising=False)
    with pytest.raises(OSError, match=r"cannot write .*No space left on device.*DLCOURSE_CACHE"):
        fetch(mnist)


def test_a_cache_that_is_no_folder_is_one_sentence(mnist, files):
    mnist.parent.write_text("a file in the way")
    with pytest.raises(OSError, match=r"cannot write .*DLCOURSE_CACHE"):
        fetch(mnist)


def test_progress_bar_on_request_only(mnist, files, capsys):
    fetch(mnist, progress="auto")  # pytest's stderr is no terminal
    assert capsys.readouterr().err == ""
    fetch(mnist, number=3, progress=True)
    assert "t10k-labels" in capsys.readouterr().err


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("DLCOURSE_CACHE", str(tmp_path))
    assert download.cache_folder() == tmp_path
    monkeypatch.delenv("DLCOURSE_CACHE")
    assert download.cache_folder().name.lower() in ("dlcourse", "cache")
