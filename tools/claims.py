"""Numbers in prose: which digits of a markdown cell are neither computed, nor cited, nor plainly not a claim.

`prose` cuts a cell into units (paragraph, list item, table row) and takes out what is not prose: code, mathematics, roles, link targets,
headings, list numbers, options of directives. `typed_numbers` returns the digits that are left after the allowed forms are taken out too."""

import re
from typing import NamedTuple

from tools.notebooks import BUDGET_PLACE

ESCAPE = re.compile(r"<!--\s*number\s*:\s*(.*?)\s*-->", re.S)
CODE_SPAN = re.compile(r"(`+)(.+?)(?<!`)\1(?!`)", re.S)
CITATION = "\x01"  # stands for a citation role
OPAQUE = "\x02"  # stands for code, mathematics, a role: something that the lint does not look into

# Directives whose argument is prose; the argument of every other one is a path, a name or an option.
PROSE_ARGUMENT = {
    "exercise",
    "admonition",
    "dropdown",
    "proof:theorem",
    "prf:theorem",
    "prf:proof",
    "card",
    "tab-item",
    "topic",
    "list-table",
    "table",
}
CODE_DIRECTIVES = {
    "math",
    "code",
    "code-block",
    "code-cell",
    "literalinclude",
    "raw",
    "mermaid",
    "eval-rst",
    "source",
    "bibliography",
    "toctree",
}

# A number after one of these words says which one, not how many or how good.
ORDINAL = (
    "section chapter part figure fig table equation exercise step layer class digit example line row column axis version seed case question page "
    "rule item volume lemma theorem appendix problem option neuron unit image feature index position bit refutation"
).split()
PRODUCTS = "python numpy pytorch torch mlx jupyter scikit-learn cuda jupyterlab sphinx matplotlib scipy windows ubuntu debian macos colab ieee iso pep".split()
MONTHS = "january february march april may june july august september october november december".split()
YEAR_LEADS = (
    "in since by until till before after around about circa from to and or between of late early mid during as year spring summer autumn winter".split()
    + MONTHS
)
COUNTED = (
    "image sample example unit parameter neuron weight token word step epoch iteration pixel class classes layer seed row point digit operation "
    "number feature entry entries time cell line bit byte sentence label item case value input output second minute hour batch batches"
).split()
NUMBER = r"\d+(?:[.,]\d+)*"

ALLOWED = [  # taken out in this order
    re.compile(r"https?://\S+|\barXiv:\s?\S+|\bdoi:\s?\S+", re.I),
    re.compile(r"\(\s*(?:[A-Za-z]\w*|\d+)(?:\s*,\s*(?:[A-Za-z]\w*|\d+|\.\.\.|…))+\s*,?\s*\)"),  # (B, 64), (2, 3)
    re.compile(r"(?<![\w.-])\d+(?:-\d+){2,}(?![\w.])"),  # 784-128-64-10
    re.compile(r"(?<![\w.])\d+(?:\s?[x×]\s?\d+)+(?![\w.]\d)"),  # 8x8, 28 × 28
    re.compile(r"\b[1-4]-?D\b"),
    re.compile(r"\b(?:8|16|32|64|128)-bit\b"),
    re.compile(r"\b\d{1,2}(?:st|nd|rd|th)[ -]centur(?:y|ies)\b"),
    re.compile(
        r"\b[A-Za-z][\w]*(?:[-.:_/+][A-Za-z]\w*)*[-_/]?\d[\w]*(?:[-.]\w+)*\b"
    ),  # float32, MNIST-5k, L2, GPT-3, x86-64, ResNet-18, H2O
    re.compile(rf"(?:\b(?:{'|'.join(MONTHS)})\s+\d{{1,2}}(?!\d)|\b\d{{1,2}}\s+(?:{'|'.join(MONTHS)})\b)(?:,?\s+\d{{4}})?", re.I),
    re.compile(rf"\b(?:{'|'.join(ORDINAL)})(?:es|s)?\.?\s+{NUMBER}(?:(?:\s?[,–-]\s?|\s+(?:and|or|to)\s+|,\s+(?:and\s+)?){NUMBER})*", re.I),
    re.compile(rf"\b(?:{'|'.join(PRODUCTS)})\s+v?{NUMBER}", re.I),
]
YEAR = re.compile(r"(?<![\w.,-])((?:1[6-9]\d\d|20[0-2]\d|203[0-5]))(s)?(?:\s?[–-]\s?(?:\d{4}|\d\d))?(?![\w%]|[.,]\d)")


class Unit(NamedTuple):
    """A paragraph, list item or table row, and the line of the cell on which it begins."""

    line: int
    text: str
    reasons: tuple  # of the escapes that stand in it


def typed_numbers(source):
    """[(line, number, words around it)] for every number in the prose of a markdown cell that breaks the rule."""
    found = []
    for unit in prose(source):
        if unit.reasons:
            continue
        for sentence in sentences(unit.text):
            if CITATION in sentence:
                continue
            found += [(unit.line, number, words) for number, words in _left_over(sentence)]
    return found


def escapes(source):
    """The reasons that the visible escapes of a cell give; an empty reason is returned as it is, for the lint to refuse."""
    return ESCAPE.findall(CODE_SPAN.sub(OPAQUE, without_code(source)))


def sentences(text):
    """Split at full stops that end a sentence; `e.g.`, `Fig.` and decimals do not."""
    guarded = re.sub(r"\b(e\.g|i\.e|cf|vs|etc|Fig|Eq|Sec|Dr|et al|approx|No)\.", lambda m: m.group(0).replace(".", "\x03"), text)
    parts = re.split(r"(?<=[.!?])[\"”')\]]*\s+(?=[\x01\x02\"“(\[A-Z0-9*_])", guarded)
    return [part.replace("\x03", ".") for part in parts]


def prose(source):
    """The units of prose in a markdown cell."""
    units, lines, start, pending = [], [], 0, []

    def close():
        nonlocal lines
        body = "\n".join(lines)
        reasons = tuple(reason for reason in ESCAPE.findall(CODE_SPAN.sub(OPAQUE, body)) if reason)
        clean = _without_inline(re.sub(r"<!--.*?-->", " ", BUDGET_PLACE.sub(" ", body), flags=re.S))
        if clean.strip():
            table = pending if clean.lstrip().startswith("|") else []
            units.append(Unit(start, clean, reasons + tuple(table)))
        if not clean.strip():  # a comment alone on its line is for the table or paragraph that follows at once
            pending[:] = reasons
        elif not clean.lstrip().startswith("|"):
            pending.clear()
        lines = []

    for number, line in enumerate(without_code(source).splitlines(), 1):
        stripped = line.strip()
        # An escape on the line before a table belongs to every row of it; before a paragraph it is part of the paragraph.
        row = stripped.startswith("|")
        if not stripped:
            close()
            pending.clear()
            continue
        item = re.match(r"(?:[-*+]|\d+[.)])\s+", stripped)
        if item or row or (lines and lines[-1].lstrip().startswith("|")):
            close()
        if item:
            stripped = stripped[item.end() :]
        if not lines:
            start = number
        lines.append(stripped)
    close()
    return units


def without_code(source):
    """The cell with fenced code, display mathematics, headings, targets and directive options blanked; line numbers stay."""
    out, fences, options = [], [], False
    for line in _blank_display_math(source).splitlines():
        stripped = line.strip().lstrip("> ")
        keep = line
        opening = re.match(r"(`{3,}|:{3,}|~{3,})\s*(\{[^}]*\}|\w*)\s*(.*)$", stripped)
        if fences and stripped == fences[-1][0] and set(stripped) <= set("`:~"):
            fences.pop()
            keep, options = "", False
        elif opening and not (fences and fences[-1][1]):
            fence, name, argument = opening.groups()
            name = name.strip("{}")
            code = not opening.group(2).startswith("{") or name in CODE_DIRECTIVES or name.startswith("glue")
            fences.append((fence, code))
            keep, options = argument if name in PROSE_ARGUMENT else "", True
        elif (fences and fences[-1][1]) or (options and re.match(r":[\w-]+:", stripped)):
            keep = ""
        else:
            options = False
            heading_or_target = r"#{1,6}\s.*|\([\w:-]+\)=|\[[^\]]+\]:\s.*"
            if re.fullmatch(heading_or_target, stripped):
                keep = ""
        out.append(keep)
    return "\n".join(out)


def _blank_display_math(source):
    def blank(match):
        return OPAQUE + "\n" * match.group(0).count("\n")

    fenced = r"^[ \t>]*(?:`{3,}|~{3,})(?!\{).*?^[ \t>]*(?:`{3,}|~{3,})[ \t]*$"
    parts = re.split(f"({fenced})", source, flags=re.S | re.M)  # dollars inside code are no mathematics
    return "".join(part if index % 2 else re.sub(r"\$\$.*?\$\$", blank, part, flags=re.S) for index, part in enumerate(parts))


def _without_inline(text):
    text = re.sub(r"\{[\w:]*cite[\w:]*\}`[^`]*`", CITATION, text)
    text = re.sub(r"\{[\w:.-]+\}(`+)(.+?)\1", OPAQUE, text, flags=re.S)  # other roles
    text = CODE_SPAN.sub(OPAQUE, text)
    text = re.sub(r"(?<!\\)\$([^$]+?)(?<!\\)\$", _inline_math, text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)", r"\1", text)
    text = re.sub(r"\[\^[^\]]+\]", OPAQUE, text)
    return re.sub(r"<[A-Za-z/][^>]*>", " ", text)


def _inline_math(match):
    r"""Mathematics is opaque, but a number alone with a percent sign ($97\%$) is a claim in disguise."""
    return match.group(1) if re.fullmatch(r"\s*[-+~\\a-z\s]*\d[\d.,]*\s*(?:\\[,;])?\s*\\?%\s*", match.group(1)) else OPAQUE


def _left_over(sentence):
    if not re.search(r"\d", sentence):
        return []
    text = sentence
    for pattern in ALLOWED:
        text = pattern.sub(lambda match: OPAQUE * 1 + " " * (len(match.group(0)) - 1), text)
    text = YEAR.sub(lambda match: " " * len(match.group(0)) if _is_year(match, text) else match.group(0), text)
    return [
        (match.group(0), re.sub(r"\s+", " ", sentence[max(0, match.start() - 25) : match.end() + 20]).replace(OPAQUE, "…").strip())
        for match in re.finditer(rf"{NUMBER}(?:\s?%)?", text)
    ]


def _is_year(match, text):
    if match.group(2):
        return True  # the 1980s
    before = text[: match.start()].rstrip()
    following = re.match(r"\s+(?:[a-z]+\s+)?([a-z]+)", text[match.end() :])
    next_words = re.findall(r"[a-z]+", following.group(0)) if following else []
    if any(word in COUNTED or word.removesuffix("s") in COUNTED for word in next_words):
        return False  # 1797 images, 2000 training steps
    lead = re.search(r"([A-Za-z.]+),?$", before)
    word = lead.group(1).lower() if lead else ""
    if word in ("in", "since", "until", "year", "during", *MONTHS):
        return True
    if next_words and next_words[0].endswith("s") and next_words[0] not in ("as", "was", "is", "has", "this", "its"):
        return False  # of 1960 books
    named = bool(lead) and lead.group(1)[0].isupper() and word != "the"
    return word in YEAR_LEADS or named or before.endswith(("(", ",", ";", "–", "-", "|", ":")) or not before
