"""Tokenisers, trained from scratch: characters, byte-level BPE (GPT-2), WordPiece (BERT)."""

from dlcourse.text.bpe import BPETokenizer
from dlcourse.text.characters import CharTokenizer
from dlcourse.text.tokenizer import Tokenizer, read
from dlcourse.text.wordpiece import WordPieceTokenizer

__all__ = ["BPETokenizer", "CharTokenizer", "Tokenizer", "WordPieceTokenizer", "load"]

KINDS = {kind.kind: kind for kind in (CharTokenizer, BPETokenizer, WordPieceTokenizer)}


def load(path):
    """The tokeniser that `save(path)` wrote, whichever kind it is. Raises ValueError for a file that is not whole."""
    kind = read(path)["kind"]
    if kind not in KINDS:
        raise ValueError(
            f"{path} holds a tokeniser of the unknown kind {kind!r}: one of {', '.join(KINDS)} is known"
        )
    return KINDS[kind].load(path)
