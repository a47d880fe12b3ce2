"""Seconds that a tokeniser takes, in a Python of its own."""

import os
import subprocess
import sys

COVERAGE = "COVERAGE_PROCESS_"  # how the names begin of the variables by which coverage follows into other processes


def train_half_a_megabyte(name, arguments, size):
    """(seconds of processor time, `size` of the tokeniser) for `name.train(text, arguments)` on 500,000 characters of Python's own topics.

    Coverage is not measured there: it makes loops many times as slow."""
    code = f"""
import time
from pydoc_data.topics import topics
from dlcourse.text import {name}
text = "\\n".join(topics.values())
text += text[: 500_000 - len(text)]
assert len(text) == 500_000
start = time.process_time()
tokenizer = {name}.train([text], {arguments})
print(time.process_time() - start, {size})"""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith(COVERAGE)}
    run = subprocess.run([sys.executable, "-c", code], env=unmeasured, capture_output=True, text=True, check=True)
    seconds, found = run.stdout.split()
    return float(seconds), int(found)
