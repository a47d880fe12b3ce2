"""Numbers in prose: what authors write every day passes, what is a claim does not."""

import pytest

from tools.claims import escapes, typed_numbers

FINE = [
    "In 1958 Rosenblatt showed it, in the 1980s it returned.",
    "Rosenblatt (1958) and Minsky, 1969, argued; by 1986, it was known.",
    "On 12 May 1986 it appeared. On May 12, 1986 too.",
    "Shapes (B, 64) and (2, 3) and 784-128-64-10 on 8x8 or 28 \u00d7 28 images.",
    "We use float32, MNIST-5k, L2, GPT-3, x86-64, ResNet-18, 2-D arrays, 64-bit numbers, top-5 lists.",
    "Accuracy is {glue:text}`accuracy` over {glue:text}`seeds` seeds.",
    "The model reached 92.1 % there {cite:p}`lecun1998`.",
    "{cite:t}`lecun1998` reached 92.1 %, e.g. with 60 units.",
    "See section 3.2, layers 1 and 2, classes 4, 7 and 9, Python 3.11, figure 4.",
    "Between $0$ and $1$, `lr=0.01`, ``a `2` b``, $2x + 3$, {eq}`eq-2`, {math}`3 + 4`.",
    "1. first\n2. second\n10) tenth",
    "## 3 headings of 4\n\nText.",
    ":::{figure} ../a1/b2.svg\n:name: fig-2\n:width: 80%\n:alt: 3 layers\nA caption.\n:::",
    "```python\nx = 3\n```\n\nText.",
    "```{code-block} python\n:linenos:\nx = 3\n```",
    "Text\n\n$$\n3 + 4\n$$\n\nand $$5$$.",
    ":::{math}\n:label: eq-a-2\nx = 3\n:::",
    "[text](https://example.org/2020/5) and <https://example.org/7> and https://example.org/8",
    '<a href="x1" width="40">link</a>',
    "(sec-2)=\nText[^3].",
    "[^3]: x\n\nText.",
    "| a | b |\n|---|:-:|\n| $3$ | `4` |",
    "Training needs 60 rounds. <!-- number: the setting of the cell below -->",
    "<!-- number: copied from the table of the standard -->\n| a | 3 |\n|---|---|\n| b | 4 |",
    "arXiv:1412.6980 and doi:10.1000/182.",
    "A {term}`3-layer network`.",
    "It happened in the 19th century.",
]
CLAIMS = [
    ("The network has 3 layers.", ["3"]),
    ("It reaches 97.5% accuracy.", ["97.5%"]),
    ("It reaches $97.5\\%$ accuracy.", ["97.5"]),
    ("It reaches $\\approx 97\\,\\%$ accuracy.", ["97"]),
    ("There are 1797 images, a set of 1797 samples.", ["1797", "1797"]),
    ("In 2000 training steps it converges.", ["2000"]),
    ("It uses 2048 tokens.", ["2048"]),
    ("It is 2.5 times faster, 1,000 steps, 2x and 10k.", ["2.5", "1,000", "2", "10"]),
    ("| model | 0.97 |", ["0.97"]),
    ("The {glue:text}`accuracy` is above 0.9.", ["0.9"]),
    (":::{note}\nOnly 12 lines.\n:::", ["12"]),
    (":::{exercise} Implement: 3 functions\n:label: ex-2\nText.\n:::", ["3"]),
    ("- item with 7 things\n- none", ["7"]),
    ("> quote of 8 things", ["8"]),
    ("The first is cited {cite:p}`a`. The second has 5 claims.", ["5"]),
    ("Cited {cite:p}`a`.\n\nThe second has 5 claims.", ["5"]),
    ("It ends at epoch 5.", ["5"]),
    ("Range (0.93, 0.97).", ["0.93", "0.97"]),
    ("From 64-128 units.", ["64", "128"]),
    ("A rate of 1e-3.", ["1", "3"]),
    ("First item 3. <!-- number: only this paragraph -->\n\nSecond has 4.", ["4"]),
    ("- a has 3 <!-- number: only this item -->\n- b has 4", ["4"]),
    ("<!-- number: the table only -->\n| 3 |\n\nText with 4.", ["4"]),
    ("Bad escape: 3 things. <!-- number: -->", ["3"]),
    ("Not an escape: 3 things. <!-- numbers are hard -->", ["3"]),
    ("```python\nx = 3\n```\nAfter code come 9 words.", ["9"]),
    ("It costs 5 $ and 6 things.", ["5", "6"]),
]


@pytest.mark.parametrize("source", FINE)
def test_ordinary_prose_passes(source):
    assert typed_numbers(source) == []


@pytest.mark.parametrize(("source", "numbers"), CLAIMS)
def test_claims_are_found(source, numbers):
    assert [number for _, number, _ in typed_numbers(source)] == numbers


def test_place_and_words():
    assert typed_numbers("Title.\n\nIt has 3 layers.") == [(3, "3", "It has 3 layers.")]


def test_escapes_are_listed_with_their_reasons():
    assert escapes("3 <!-- number: because of this --> and `<!-- number: shown -->`\n\n```\n<!-- number: in code -->\n```") == [
        "because of this"
    ]
    assert escapes("4 <!-- number: -->") == [""]
