"""Tatoeba's sentence pairs, Chinese and English, as the project manythings.org/anki gives them out."""

from dlcourse.data import files
from dlcourse.data.files import FileSet
from dlcourse.data.translation import Pairs, apart

FILES = FileSet(
    ("tatoeba", "tatoeba_cmn_eng"),
    ("cmn.txt|cmn.train.txt",),
    "www.manythings.org/anki (cmn-eng.zip)",
    "Tatoeba's Chinese-English list",
    "CC BY 2.0 FR, each line with its authors",
)


def load():
    """Chinese -> English, in Chinese characters both simplified and traditional: the Pairs "tatoeba"; 90, 5 and 5 %.

    One sentence often has several translations: pairs that share a sentence on either side stay in one part."""
    (path,) = files.find(FILES)
    table = files.rows(path, columns=3)
    for number, (english, chinese, authors) in enumerate(table, 1):
        if not (english and chinese and "tatoeba.org" in authors and authors.endswith(")")):
            raise files.refusal(
                path, number, "English, Chinese, and the authors at tatoeba.org", authors
            )
    parts = apart([row[1] for row in table], [row[0] for row in table], seed=0)
    return Pairs("tatoeba", *parts, f"Tatoeba, {len(table):,} pairs", FILES.licence)
