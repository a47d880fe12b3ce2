"""Slow and obvious tokenisers, which count all anew for every merge; `tests/test_mutants.py` asks the same of its mutants."""

import math
import random
from collections import Counter
from itertools import pairwise

import regex

# ---------------------------------------------------------------- dlcourse.text.merges


def slow_merge(ids, pair, new):
    result = []
    for token in ids:
        result.append(token)
        if tuple(result[-2:]) == pair and not (len(result) > 1 and result[-2] is None):
            result[-2:] = [new, None]  # None keeps what was merged from being merged again
    return [token for token in result if token is not None]


def slow_learn(words, tokens, size, join, score, least):
    words, merges = {word: (list(word), n) for word, n in words.items()}, {}
    while len(tokens) < size:
        pairs, parts = Counter(), Counter()
        for word, n in words.values():
            for part in word:
                parts[part] += n
            for pair in pairwise(word):
                pairs[pair] += n
        total = sum(parts.values())
        worth = {(a, b): n if score is None else score(n, parts[a], parts[b], total) for (a, b), n in pairs.items() if n >= least}
        if not worth:
            break
        pair = min(worth, key=lambda p: (-worth[p], p))
        spelling = join(tokens[pair[0]], tokens[pair[1]])
        if spelling not in tokens:
            tokens.append(spelling)
        merges[pair] = tokens.index(spelling)
        words = {key: (slow_merge(word, pair, merges[pair]), n) for key, (word, n) in words.items()}
    return merges


def check_merges(m, scores):
    for ids, pair, merged in (
        ([1, 1, 1, 2, 1, 1], (1, 1), [9, 1, 2, 9]),
        ([1, 2, 1, 2], (1, 2), [9, 9]),
        ([2, 1], (1, 2), [2, 1]),
        ([1], (1, 1), [1]),
        ([], (1, 1), []),
    ):
        assert m.merge(ids, pair, 9) == slow_merge(ids, pair, 9) == merged
    assert list(m.learn({(2, 3): 2, (1, 3): 2, (1, 0): 1}, list("abcd"), 6, str.__add__)) == [
        (1, 3),
        (2, 3),
    ]  # ties, and pairs that are rare
    tokens = list("ab")
    assert m.learn({(0, 1): 5, (0,): 3}, tokens, 100, str.__add__) == {(0, 1): 2} and tokens == ["a", "b", "ab"]
    assert m.learn({}, list("ab"), 100, str.__add__) == {} == m.learn({(0, 1): 5}, list("ab"), 2, str.__add__)
    assert m.learn({(0, 1): 1}, list("ab"), 9, str.__add__) == {}
    # ab, then abc by ab + c, and by a + bc: two ways to one spelling share a token
    words, tokens = {(0, 1, 2): 1, (0, 1): 3, (3, 0, 1): 1, (0, 2): 1, (0, 4): 4}, ["a", "b", "c", "d", "bc"]
    merges = m.learn(words, tokens, 12, str.__add__, least=1)
    assert merges[0, 4] == merges[merges[0, 1], 2] == tokens.index("abc") and len(set(tokens)) == len(tokens)
    for seed in range(24):
        rng = random.Random(seed)
        words = {tuple(rng.choices(range(4), k=rng.randint(1, 8))): rng.randint(1, 5) for _ in range(rng.randint(1, 8))}
        for score in scores:
            for least in (1, 2):
                quick, plain, size = list("abcd"), list("abcd"), rng.choice((6, 20))
                found = m.learn(words, quick, size, str.__add__, score, least)
                wanted = slow_learn(words, plain, size, str.__add__, score, least)
                assert list(found.items()) == list(wanted.items()) and quick == plain


# ---------------------------------------------------------------- dlcourse.text.bpe

GPT2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
TEXTS = [
    "It's 2024, and they'll pay $3.50  for  x_1²! We've said: I'm here, you'd know, they're not.",
    "學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？",
    "def f(x):\n\treturn {k: v**2 for k, v in x}  # squares\n\n\n",
    "naïve café — Ελλάς Ⅷ ½ ①, हिन्दी, العربية, e\u0301",
    "👩‍👩‍👧‍👦 🇨🇳 🤖!!",
    "²³¹ ⅠⅡⅢ①②③ x½y¾z 𐄇𐄈",
    " ",
    "  a",
    "a  ",
    "\r\n\x1c\x1d\u00a0\u3000 x\u200b\u2028",
    "",
    "the theme of the thesis is this: the then there, them these",
]


def spelling(byte):
    """GPT-2's: a visible character of Latin-1 stands for itself, the others are counted from U+0100 on."""
    hidden = [b for b in range(256) if not (0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE)]
    return chr(0x100 + hidden.index(byte)) if byte in hidden else chr(byte)


def slow_bpe(tokenizer, text):
    """Every merge in its order, over the whole word."""
    found = []
    for word in GPT2.findall(text):
        parts = [spelling(byte) for byte in word.encode()]
        for pair in tokenizer.merges:
            parts = slow_merge(parts, tuple(pair), "".join(pair))
        found += [tokenizer.vocab[part] for part in parts]
    return found


def check_bpe(m, raises):
    order = [b for b in range(256) if spelling(b) == chr(b)] + [b for b in range(256) if spelling(b) != chr(b)]
    assert list(m.SPELLING) == order and all(m.SPELLING[b] == spelling(b) and m.BYTE[spelling(b)] == b for b in range(256))
    bytes_alone = {spelling(b): i for i, b in enumerate(order)}
    plain = m.BPETokenizer(bytes_alone, [])
    assert plain.encode_word("aé\n") == [bytes_alone[spelling(b)] for b in b"a\xc3\xa9\n"]
    assert plain.decode([bytes_alone[spelling(0xC3)]]) == "\ufffd" and plain.kind == "bpe"
    vocab = bytes_alone | {"ab": 256, "abc": 257, "bc": 258, "aba": 259}
    two_ways = m.BPETokenizer(vocab, [("b", "c"), ("ab", "c"), ("a", "b"), ("a", "bc"), ("b", "c"), ("ab", "a")])
    assert [two_ways.tokens[i] for i in two_ways.encode_word("abcab")] == ["abc", "ab"]
    assert [two_ways.tokens[i] for i in two_ways.encode_word("ababa")] == ["ab", "aba"]
    assert [two_ways.tokens[i] for i in m.BPETokenizer(vocab, [("b", "c"), ("a", "b")]).encode_word("abc")] == ["a", "bc"]
    assert two_ways.encode_word("b") == [vocab["b"]] and two_ways.encode_word("") == []
    for message, call in (
        ("the byte 33 has no token: a byte-level vocabulary begins with all 256", lambda: m.BPETokenizer({"a": 0}, [])),
        ("merge 1 is ['a', 'b', 'c']: a merge is a pair of spellings", lambda: m.BPETokenizer(vocab, [("a", "b"), ("a", "b", "c")])),
        ("merge 0 joins 'a' and 'zz', but 'zz' is no token", lambda: m.BPETokenizer(vocab, [("a", "zz")])),
        ("merge 0 joins 'zz' and 'a', but 'zz' is no token", lambda: m.BPETokenizer(vocab, [("zz", "a")])),
        ("merge 0 joins 'q' and 'Z', but 'qZ' is no token", lambda: m.BPETokenizer(vocab, [("q", "Z")])),
        ("the spelling 'a学' is no bytes ('学')", lambda: m.BPETokenizer(vocab | {"a学": 260}, [])),
        ("vocab_size=255, but the special tokens and the 256 bytes are 256 already", lambda: m.BPETokenizer.train(["a"], 255)),
        ("vocab_size=257, but the special tokens and the 256 bytes are 258", lambda: m.BPETokenizer.train(["a"], 257, ("<a>", "<b>"))),
        ("pass a list, [text]", lambda: m.BPETokenizer.train("a", 300)),
    ):
        raises(ValueError, message, call)
    for text in TEXTS:
        assert m.split(text) == GPT2.findall(text)
    for special in ((), ("<end>", "学")):
        trained = m.BPETokenizer.train(TEXTS, 275, special)
        words = Counter(word for text in TEXTS for word in GPT2.findall(text))
        tokens = list(m.SPELLING.values())
        numbers = {tuple(map(order.index, word.encode())): n for word, n in words.items()}
        merges = slow_learn(numbers, tokens, 275 - len(special), str.__add__, None, 2)
        assert len(trained) == 275, "there is more to merge"
        assert trained.merges == [(tokens[a], tokens[b]) for a, b in merges] and trained.tokens == (*special, *tokens)
        for text in [*TEXTS, "".join(reversed(TEXTS[0]))]:
            assert trained.encode(text) == slow_bpe(trained, text) and trained.decode(trained.encode(text)) == text
        assert trained._options() == {"merges": trained.merges}
        if special:
            assert trained.decode(trained.encode("a<end>b学", special=True)) == "a<end>b学" and trained.encode("<end>", special=True) == [0]
    assert len(m.BPETokenizer.train(["abc"], 300)) == 256 and len(m.BPETokenizer.train(["abc"], 300, min_frequency=1)) == 258


# ---------------------------------------------------------------- dlcourse.text.wordpiece


def slow_pieces(tokenizer, word):
    found, rest = [], word
    while rest:
        prefix = "##" if found else ""
        fits = [rest[:n] for n in range(1, len(rest) + 1) if prefix + rest[:n] in tokenizer.vocab]
        if not fits or len(word) > 100:
            return ["[UNK]"]
        found.append(prefix + max(fits, key=len))
        rest = rest[len(found[-1]) - len(prefix) :]
    return found


BASIC = {  # text: (words, words of lower case)
    "": [],
    "Héllo,\tWORLD! x²\x00": ["Héllo", ",", "WORLD", "!", "x²"],
    "学习AI 㐂𠀀": ["学", "习", "AI", "㐂", "𠀀"],
    "a\u00a0b\u3000c\nd\re": ["a", "b", "c", "d", "e"],
    "a\x07b\ufffdc\u200bd": ["abcd"],
    "$1+1<=2^|~`": ["$", "1", "+", "1", "<", "=", "2", "^", "|", "~", "`"],
    "€ ± ×": ["€", "±", "×"],
    "ΟΔΟΣ": ["ΟΔΟΣ"],
    "¿qué?": ["¿", "qué", "?"],
}
LOWER = {"Héllo": "hello", "WORLD": "world", "AI": "ai", "ΟΔΟΣ": "οδοσ", "qué": "que"}


def check_wordpiece(m, raises):
    for text, words in BASIC.items():
        assert m.basic(text, lower=False) == words
        assert m.basic(text) == [LOWER.get(word, word) for word in words]
    ends = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2F800, 0x2FA1F))
    for first, last in ends:
        for code, is_chinese in ((first - 1, False), (first, True), (last, True), (last + 1, False)):
            assert m._is_chinese(chr(code)) == is_chinese, hex(code)
    for n, n_a, n_b, total in ((3, 30, 50, 1000), (5, 5, 9, 100), (4, 9, 4, 90), (2, 2, 2, 7)):
        rest = [each * math.log(each) if each else 0.0 for each in (n_a, n_b, total, n, n_a - n, n_b - n, total - n)]
        exact = rest[3] + rest[4] + rest[5] - rest[6] - rest[0] - rest[1] + rest[2]
        assert abs(m.gain(n, n_a, n_b, total) - exact) < 1e-9
        assert (
            abs(m.SCORES["likelihood"](n, n_a, n_b, total) - n * (math.log(n) + math.log(total) - math.log(n_a) - math.log(n_b) - 1)) < 1e-9
        )
        assert m.SCORES["ratio"](n, n_a, n_b, total) == n / (n_a * n_b)
    assert m.SCORES["exact"] is m.gain and m.SCORES["count"] is None and m.xlogx(1) == 0.0
    vocab = {token: i for i, token in enumerate(["[UNK]", "ab", "abc", "##cd", "##d", "##e", "a", "##a", "E"])}
    small = m.WordPieceTokenizer(vocab, special=("[UNK]",))
    for word in ("abcd", "abcde", "abx", "xab", "ab", "abd", "a" * 100, "a" * 101, ""):
        assert [small.tokens[i] for i in small._match(word)] == slow_pieces(small, word)
    assert small.pieces("Abcd, abe") == ["abc", "##d", "[UNK]", "ab", "##e"]
    assert m.WordPieceTokenizer(vocab, special=("[UNK]",), lower=False).pieces("E Ab") == ["E", "[UNK]"]
    assert small.decode(small.encode("abcde abe")) == "abcde abe" and small.kind == "wordpiece"
    text = "low lower lowest Low new newer newest é été"
    for lower in (True, False):
        for name, score in m.SCORES.items():
            for special in (("[UNK]",), m.SPECIAL):
                trained = m.WordPieceTokenizer.train([text, "new"], 34, special, lower, name, min_frequency=1)
                words = Counter([*m.basic(text, lower), "new"])
                spelled = {(word[0], *("##" + c for c in word[1:])): n for word, n in words.items()}
                tokens = sorted({c for word in words for c in word})
                tokens += sorted({piece for word in spelled for piece in word[1:]})
                numbers = {tuple(map(tokens.index, word)): n for word, n in spelled.items()}
                slow_learn(numbers, tokens, 34 - len(special), lambda a, b: a + b.removeprefix("##"), score, 1)
                assert trained.tokens == (*special, *tokens) and trained.lower == lower
                assert trained.pieces(text + " Lownew") == [
                    piece for word in m.basic(text + " Lownew", lower) for piece in slow_pieces(trained, word)
                ]
                assert trained._options() == {"lower": lower}
    defaults = m.WordPieceTokenizer.train([text] * 2, 34)
    assert defaults.tokens == m.WordPieceTokenizer.train([text] * 2, 34, m.SPECIAL, True, "likelihood", 2).tokens and defaults.lower
    assert len(m.WordPieceTokenizer.train(["ab"], 30)) == 5 + 3 and m.WordPieceTokenizer(vocab, ("[UNK]",)).lower
    for message, call in (
        (
            "unknown score 'best': choose one of likelihood, exact, count, ratio",
            lambda: m.WordPieceTokenizer.train(["a"], 100, score="best"),
        ),
        (
            "vocab_size=8, but the special tokens and the characters of the texts are 9 already",
            lambda: m.WordPieceTokenizer.train(["abab"], 8),
        ),
        ("the vocabulary has no [UNK]", lambda: m.WordPieceTokenizer({"a": 0}, special=())),
    ):
        raises(ValueError, message, call)
    assert len(m.WordPieceTokenizer.train(["abab"], 9)) == 9


# ---------------------------------------------------------------- dlcourse.text.characters, dlcourse.text.tokenizer


def check_characters(m, raises):
    plain = m.CharTokenizer.train(["cab", "学a"], special=("<pad>",))
    assert plain.tokens == ("<pad>", "a", "b", "c", "学") and plain.unknown is None and plain.kind == "characters"
    assert plain.encode("学a") == [4, 1] and plain.decode([3, 0, 4]) == "c<pad>学" and plain.encode("a<pad>a", special=True) == [1, 0, 1]
    assert plain._options() == {"unknown": None} and m.CharTokenizer.train(["ba"]).tokens == ("a", "b")
    kept = m.CharTokenizer.train(["zzbbca", "bz"], 4, ("<end>",), "<unk>")  # z and b three times; of a and c, once each, none
    assert kept.tokens == ("<end>", "<unk>", "b", "z") and kept.special == ("<end>", "<unk>")
    assert kept.encode("abz!") == [1, 2, 3, 1] and kept.decode([1, 2]) == "<unk>b" and kept._options() == {"unknown": "<unk>"}
    assert m.CharTokenizer.train(["zzbbca"], 4, unknown="<unk>").tokens == ("<unk>", "a", "b", "z")
    assert m.CharTokenizer.train(["ab"], None, ("<unk>", "<end>"), "<unk>").tokens == ("<unk>", "<end>", "a", "b")
    assert m.CharTokenizer.train(["ab"], 1, unknown="<unk>").tokens == ("<unk>",)
    assert m.CharTokenizer.train(["aabbc"], 3).tokens == ("a", "b", "c")
    for message, call in (
        ("the character '好' was not in the texts of the training: train with it, or with unknown='<unk>'", lambda: plain.encode("a好")),
        ("unknown='?' is no special token: name it in special, too", lambda: m.CharTokenizer({"a": 0, "?": 1}, unknown="?")),
        ("the token 'ab' is not one character: list it as special", lambda: m.CharTokenizer({"a": 0, "ab": 1})),
        ("the token '' is not one character", lambda: m.CharTokenizer({"a": 0, "": 1})),
        ("vocab_size=2, but the special tokens and the characters of the texts are 3 already", lambda: m.CharTokenizer.train(["aabbc"], 2)),
        ("are 4 already", lambda: m.CharTokenizer.train(["aabbc"], 3, ("<end>",))),
        ("are 2 already", lambda: m.CharTokenizer.train(["aabbc"], 1, ("<end>",), "<unk>")),
        ("pass a list, [text]", lambda: m.CharTokenizer.train("ab")),
    ):
        raises(ValueError, message, call)


def check_tokenizer(m, raises, folder):
    class Letters(m.Tokenizer):
        kind = "letters"

        def __init__(self, vocab, special=(), spare=0):
            super().__init__(vocab, special)
            self.spare = spare

        def _encode(self, text):
            return [self.vocab[letter] for letter in text]

        def _decode(self, ids):
            return "".join(self.tokens[i] for i in ids)

        def _options(self):
            return {"spare": self.spare}

    letters = Letters({"b": 1, "a": 0, "<": 2, ">": 3, "<a>": 4, "<a>b": 5}, ("<a>", "<a>b"), spare=7)
    assert letters.tokens == ("a", "b", "<", ">", "<a>", "<a>b") and letters.vocab == {token: i for i, token in enumerate(letters.tokens)}
    assert len(letters) == 6 and letters.special == ("<a>", "<a>b") and repr(letters) == "Letters(6 tokens)"
    assert letters.encode("a<a>ba") == [0, 2, 0, 3, 1, 0] and letters.encode("a<a>ba<a>", special=True) == [0, 5, 0, 4]  # the longest
    assert letters.encode("<a>b", special=True) == [5] and letters.encode("", special=True) == [] == letters.encode("")
    assert Letters({"a": 0}).encode("aa", special=True) == [0, 0] and m.Tokenizer({"a": 0})._options() == {}
    assert letters.decode([0.0, 5]) == "a<a>b" and letters.decode([]) == "" and letters.pieces("ab") == ["a", "b"]
    path = folder / "letters.json"
    letters.save(path)
    data = m.read(path)
    assert data == {"format": 1, "kind": "letters", "special": ["<a>", "<a>b"], "spare": 7, "vocab": letters.vocab}
    assert list(data["vocab"]) == list(letters.tokens) and "学" in Letters({"学": 0}).tokens
    loaded = Letters.load(path)
    assert loaded.vocab == letters.vocab and loaded.special == letters.special and loaded.spare == 7
    Letters({"学": 0}).save(folder / "chinese.json")
    assert '"学"' in (folder / "chinese.json").read_text(encoding="utf-8")
    written = {
        "other": '{"format": 1, "kind": "bytes", "vocab": {}}',
        "old": '{"format": 0, "kind": "letters", "vocab": {}}',
        "half": '{"format": 1, "kind"',
        "list": '["format", "kind", "vocab"]',
        "lacking": '{"format": 1, "kind": "letters"}',
        "more": '{"format": 1, "kind": "letters", "vocab": {}, "size": 3}',
        "wrong": '{"format": 1, "kind": "letters", "vocab": 3}',
    }
    for name, content in written.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "bytes").write_bytes(b"\xff\xfe")
    for message, call in (
        (
            "holds a tokeniser of the kind 'bytes', not 'letters': dlcourse.text.load reads every kind",
            lambda: Letters.load(folder / "other"),
        ),
        ("has format 0, and this version of dlcourse reads 1", lambda: Letters.load(folder / "old")),
        ("is no tokeniser file (", lambda: Letters.load(folder / "half")),
        ("is no tokeniser file (", lambda: Letters.load(folder / "bytes")),
        ("is no tokeniser file: it lacks format, kind or vocab", lambda: Letters.load(folder / "list")),
        ("is no tokeniser file: it lacks format, kind or vocab", lambda: Letters.load(folder / "lacking")),
        ("is not whole (", lambda: Letters.load(folder / "more")),
        ("is not whole (", lambda: Letters.load(folder / "wrong")),
        ("the numbers of the 2 tokens are not 0 to 1, each once: number them without holes", lambda: Letters({"a": 0, "b": 2})),
        ("the numbers of the 2 tokens are not 0 to 1", lambda: Letters({"a": 1, "b": 1})),
        ("the special token '<b>' is not in the vocabulary: give it a number there", lambda: Letters({"a": 0}, ("a", "<b>"))),
        ("token 6, but this tokeniser has 0 to 5: decode with the tokeniser that encoded", lambda: letters.decode([0, 6])),
        ("token -1, but this tokeniser has 0 to 5", lambda: letters.decode([-1])),
        ("a text is a str, not bytes: decode bytes", lambda: letters.encode(b"a")),
        ("character 1 is half a surrogate pair (U+D800), which is no text", lambda: letters.encode("a\ud800")),
        ("texts is one str", lambda: m.check_texts("ab")),
        ("a text is a str, not int", lambda: m.check_texts(["a", 3])),
        ("a special token is a name such as '<end>', not ''", lambda: m.number(["a"], ("<end>", ""))),
        ("a special token is a name such as '<end>', not 3", lambda: m.number(["a"], (3,))),
        ("the special token 'a' is there twice: give it a name", lambda: m.number(["b", "a"], ("<end>", "a"))),
        ("the special token '<end>' is there twice", lambda: m.number(["b", "a"], ("<end>", "<pad>", "<end>"))),
        ("vocab_size=3, but all are 4 already: ask for at least 4", lambda: m.check_size(3, 4, "all")),
        ("vocab_size=True, but", lambda: m.check_size(True, 1, "all")),
        ("vocab_size=4.0, but", lambda: m.check_size(4.0, 1, "all")),
    ):
        raises(ValueError, message, call)
    m.check_size(4, 4, "all")
    assert m.number(["b", "a"], ("<end>",)) == {"<end>": 0, "b": 1, "a": 2}
    assert m.check_texts(text for text in ("a", "b")) == ["a", "b"] and m.check_texts([]) == []
