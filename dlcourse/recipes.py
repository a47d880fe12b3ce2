"""Named trainings with all their settings, and their results as JSON."""

import dataclasses
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dlcourse
from dlcourse import data, reading, schedule, state, tasks, train, views
from dlcourse.boundary import check_whole
from dlcourse.config import (
    BERTConfig,
    CNNConfig,
    GPTConfig,
    MLPConfig,
    ResNetConfig,
    TransformerConfig,
)
from dlcourse.data import augment
from dlcourse.errors import suggestion
from dlcourse.initial import initial_state, whitened

RESULTS = "results.json"  # its name in the folder of a run
WHITENED = 2000  # images whose patches the first filters are made for: 1.8 million patches of 32 x 32 pixels

# Networks that articles build again and again. Those of 1000 inputs have no natural data set: build them, but do not train them on noise.
ARTICLE_NETWORKS = {
    "784-128-64-10": MLPConfig(784),
    "784-128-dropout-10": MLPConfig(784, hidden=(128,), dropout=0.2),
    "1000-512-10": MLPConfig(1000, hidden=(512,)),
    "1000-500-250-10": MLPConfig(1000, hidden=(500, 250)),
    "one-layer-sigmoid": MLPConfig(30, hidden=(16,), outputs=1, activation="sigmoid"),
    "logistic-regression": MLPConfig(30, hidden=(), outputs=1),
    "3-32-64-1024-10": CNNConfig((32, 32, 3), channels=(32, 64), padding=0, hidden=(1024,)),
}


@dataclass(frozen=True)
class Recipe:
    """All that decides a training but the seed and the backend."""

    name: str
    title: str
    data: str  # a name for dlcourse.data.load
    config: Any  # of a model: MLPConfig, GPTConfig ...
    epochs: int
    batch_size: int
    schedule: Any  # (step, total steps) -> learning rate
    loss: str = "cross_entropy"
    optimizer: str = "AdamW"
    options: dict = field(default_factory=dict)  # of the optimizer
    clip: float | None = None  # largest gradient norm
    patience: int | None = None  # epochs without a smaller validation loss
    augment: tuple = ()  # changes of dlcourse.data.augment to each training batch
    whiten: bool = False  # the first filters whiten the patches of training images
    steps: int | None = None  # batches of an epoch, a random part of the windows of a long text
    prepare: Any = None  # what data.load gives -> Dataset of tokens, where that is language
    measure: Any = None  # (learner, dataset) -> {name: value}, measured on the test set besides loss and accuracy
    pretrained: str | None = (
        None  # a recipe for a BERT, trained first with the same seed: all but its head is the start
    )
    shown: tuple[str, ...] = ("test_accuracy", "test_loss")  # the metrics that people read first


@dataclass
class Run:
    """One training of a recipe: its learner, its history, and what was measured at the end."""

    learner: Any
    history: train.History
    metrics: dict[str, float]
    seconds: float


# The sizes, batch and number of steps of nanoGPT's run on a processor. Its rate of 1e-3 ends above a validation loss of 1.9 here, 3e-3 at 1.8
_NANOGPT = {
    "epochs": 8,
    "steps": 250,
    "batch_size": 12,
    "schedule": schedule.cosine(3e-3, warmup=0.05, final=1e-4),
    "options": {"betas": (0.9, 0.99), "weight_decay": 0.1},
    "clip": 1.0,
    "measure": tasks.perplexity,
}
# mlp-digits, mlp-mnist and the rate of _NANOGPT were tuned on validation sets, the settings of bert-people and its questions also after looking at
# test results, so that their test results are no clean ones; the others take plain settings.
_ALL = (
    Recipe(
        "mlp-digits",
        "64-128-64-10 on the 8 x 8 digits",
        data="digits",
        config=MLPConfig(64, dropout=0.1),
        epochs=40,
        batch_size=32,
        schedule=schedule.cosine(1e-2, warmup=0.05),
    ),
    Recipe(
        "mlp-mnist",
        "784-128-64-10 on MNIST",
        data="mnist",
        config=dataclasses.replace(ARTICLE_NETWORKS["784-128-64-10"], dropout=0.1),
        epochs=20,
        batch_size=64,
        schedule=schedule.cosine(2e-3, warmup=0.05),
    ),
    Recipe(
        "mlp-mnist-dropout",
        "784-128-dropout-10 on MNIST",
        data="mnist",
        config=ARTICLE_NETWORKS["784-128-dropout-10"],
        epochs=20,
        batch_size=64,
        schedule=schedule.cosine(2e-3, warmup=0.05),
    ),
    Recipe(
        "mlp-mnist-5k",
        "784-128-64-10 on 5,000 images of MNIST, no download",
        data="mnist-5k",
        config=dataclasses.replace(ARTICLE_NETWORKS["784-128-64-10"], dropout=0.2),
        epochs=30,
        batch_size=32,
        schedule=schedule.cosine(2e-3, warmup=0.05),
    ),
    Recipe(
        "mlp-fashion-mnist",
        "784-128-64-10 on Fashion-MNIST",
        data="fashion-mnist",
        config=dataclasses.replace(ARTICLE_NETWORKS["784-128-64-10"], dropout=0.1),
        epochs=20,
        batch_size=64,
        schedule=schedule.cosine(2e-3, warmup=0.05),
    ),
    Recipe(
        "sigmoid-breast-cancer",
        "30-16-1 with a sigmoid layer on the breast cancer table",
        data="breast-cancer",
        config=ARTICLE_NETWORKS["one-layer-sigmoid"],
        loss="binary_cross_entropy",
        epochs=60,
        batch_size=32,
        schedule=schedule.cosine(1e-2, warmup=0.05),
    ),
    Recipe(
        "logistic-breast-cancer",
        "logistic regression, 30-1, on the breast cancer table",
        data="breast-cancer",
        config=ARTICLE_NETWORKS["logistic-regression"],
        loss="binary_cross_entropy",
        epochs=60,
        batch_size=32,
        schedule=schedule.cosine(1e-2, warmup=0.05),
    ),
    Recipe(
        "lenet-mnist",
        "LeNet-5's layers, with ReLU and max-pooling, on MNIST",
        data="mnist",
        config=CNNConfig(),
        epochs=12,
        batch_size=64,
        schedule=schedule.cosine(2e-3, warmup=0.05),
        augment=(augment.crop(2, "constant"),),
    ),
    Recipe(
        "lenet-mnist-5k",
        "LeNet-5's layers on 5,000 images of MNIST, no download",
        data="mnist-5k",
        config=CNNConfig(),
        epochs=30,
        batch_size=32,
        schedule=schedule.cosine(2e-3, warmup=0.05),
        augment=(augment.crop(2, "constant"),),
    ),
    Recipe(
        "lenet-fashion-mnist",
        "LeNet-5's layers on Fashion-MNIST",
        data="fashion-mnist",
        config=CNNConfig(),
        epochs=12,
        batch_size=64,
        schedule=schedule.cosine(2e-3, warmup=0.05),
        augment=(augment.flip(),),
    ),
    # Adam at its usual rate, ten epochs, no augmentation: the way in which articles train it
    Recipe(
        "cnn-cifar10",
        "the articles' 3-32-64-1024-10 on CIFAR-10",
        data="cifar10",
        config=ARTICLE_NETWORKS["3-32-64-1024-10"],
        epochs=10,
        batch_size=100,
        schedule=schedule.constant(1e-3),
        optimizer="Adam",
    ),
    # Few and wide layers, most of them behind a pooling, where many channels are cheap on a processor
    Recipe(
        "resnet-cifar10",
        "a residual network of nine layers, with pooling stages, on CIFAR-10",
        data="cifar10",
        config=ResNetConfig(
            stem=32,
            widths=(64, 256, 256),
            blocks=(1, 0, 1),
            strides=(2, 2, 2),
            down="pool",
            identity=True,
        ),
        epochs=12,
        batch_size=128,
        schedule=schedule.cosine(0.2, warmup=0.2),
        optimizer="SGD",
        options={"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        augment=(augment.crop(2), augment.flip(), augment.smooth(0.1)),
        whiten=True,
        measure=views.mirrored_accuracy,
    ),
    Recipe(
        "transformer-dates",
        "an encoder-decoder of 2 + 2 blocks, 64 wide, that writes dates in the ISO way",
        data="dates",
        prepare=tasks.characters,
        config=TransformerConfig(61, source=28, target=11, hidden=88),
        epochs=8,
        batch_size=64,
        schedule=schedule.cosine(2e-3, warmup=0.1),
        clip=1.0,
        measure=tasks.exact_match,
    ),
    Recipe(
        "transformer-arithmetic",
        "the same that adds numbers of up to three digits",
        data="arithmetic",
        prepare=tasks.characters,
        config=TransformerConfig(14, source=7, target=5, hidden=128),
        epochs=12,
        batch_size=64,
        schedule=schedule.cosine(2e-3, warmup=0.1),
        clip=1.0,
        measure=tasks.exact_match,
    ),
    Recipe(
        "transformer-text-to-text",
        "the same for dates and sums at once, told apart by a word in front",
        data="dates",
        prepare=tasks.dates_and_sums,
        config=TransformerConfig(63, source=34, target=11, hidden=128),
        epochs=10,
        batch_size=64,
        schedule=schedule.cosine(2e-3, warmup=0.1),
        clip=1.0,
        measure=tasks.exact_match_by_task,
    ),
    Recipe(
        "transformer-tatoeba",
        "an encoder-decoder of 3 + 3 blocks, 128 wide, from Chinese to English",
        data="tatoeba",
        prepare=tasks.subwords(4000, source=24, target=20),
        config=TransformerConfig(4000, source=24, target=20, layers=3, width=128, dropout=0.1),
        epochs=10,
        batch_size=64,
        schedule=schedule.cosine(1.5e-3, warmup=0.1),
        clip=1.0,
        measure=tasks.bleu,
    ),
    *(
        Recipe(
            name,
            title,
            data=source,
            prepare=tasks.character_windows(64),
            config=GPTConfig(vocab),
            shown=(f"{part}_loss", f"{part}_perplexity"),
            **_NANOGPT,
        )
        for name, title, source, vocab, part in (
            (
                "gpt-shakespeare",
                "a GPT of 4 blocks, 128 wide, on the characters of Tiny Shakespeare",
                "tinyshakespeare",
                65,
                "validation",  # nanoGPT's split has no test part
            ),
            (
                "gpt-pydoc",
                "the same on the characters of Python's language reference, no download",
                "pydoc",
                103,
                "test",
            ),
            ("gpt-names", "the same on the letters of first names", "names", 27, "test"),
            (
                "gpt-tang-poems",
                "the same on the characters of Tang poems",
                "tang-poems",
                2655,
                "test",
            ),
        )
    ),
    Recipe(
        "gpt-grammar",
        "a GPT of 2 blocks, 64 wide, on a generated grammar whose entropy is known",
        data="grammar",
        config=GPTConfig(22, layers=2, width=64),
        epochs=6,
        steps=250,
        batch_size=32,
        schedule=schedule.cosine(3e-3, warmup=0.05, final=3e-4),
        options={"betas": (0.9, 0.99), "weight_decay": 0.1},
        clip=1.0,
        measure=tasks.entropy_gap,
        shown=("test_loss", "test_gap"),
    ),
)
_PEOPLE = BERTConfig(73, context=24, width=64, hidden=128)
_PYDOC = BERTConfig(2000, context=64, dropout=0.1)
_SNIPS = BERTConfig(3000, context=50, dropout=0.1)
_FINE_TUNED = {"batch_size": 32, "clip": 1.0, "schedule": schedule.cosine(1e-3, warmup=0.1)}
_BERTS = (
    Recipe(
        "bert-people",
        "a BERT of 2 layers, 64 wide, pre-trained on a language about people",
        data="people",
        config=_PEOPLE,
        loss="pretraining",
        epochs=10,
        batch_size=32,
        schedule=schedule.cosine(2e-3, warmup=0.1),
        clip=1.0,
        augment=(data.masking(73),),
        measure=reading.pretraining,
    ),
    Recipe(
        "bert-pydoc",
        "a BERT of 2 layers, 128 wide, pre-trained on Python's language reference",
        data="pydoc",
        prepare=reading.spans_of_text(2000, context=64, stride=8),
        config=_PYDOC,
        loss="pretraining",
        epochs=8,
        batch_size=32,
        schedule=schedule.cosine(1e-3, warmup=0.1),
        clip=1.0,
        augment=(data.masking(2000),),
        measure=reading.pretraining,
    ),
    Recipe(
        "bert-snips",
        "the same, pre-trained on the sentences of Snips without their labels",
        data="snips",
        prepare=reading.halves_of_sentences(3000, length=50),
        config=_SNIPS,
        loss="pretraining",
        epochs=8,
        batch_size=32,
        schedule=schedule.cosine(1e-3, warmup=0.1),
        clip=1.0,
        augment=(data.masking(3000),),
        measure=reading.pretraining,
    ),
    *(
        Recipe(
            f"{name}{'' if start is None else '-pretrained'}",
            f"{title}, {'from scratch' if start is None else 'from the pre-trained network'}",
            data=source,
            prepare=prepare,
            config=config,
            epochs=epochs,
            measure=measure,
            pretrained=start,
            **_FINE_TUNED,
        )
        for name, title, source, prepare, config, epochs, measure, first in (
            (
                "bert-people-questions",
                "questions about people, answered by spans",
                "people-questions",
                None,
                dataclasses.replace(_PEOPLE, task="span", outputs=None),
                40,
                reading.answers_about_people,
                "bert-people",
            ),
            (
                "bert-snips-intents",
                "the intents of Snips",
                "snips",
                reading.intents(3000, length=50),
                dataclasses.replace(_SNIPS, task="classify", outputs=7),
                5,
                None,
                "bert-snips",
            ),
            (
                "bert-snips-slots",
                "the slots of Snips",
                "snips",
                reading.slots(3000, length=50),
                dataclasses.replace(_SNIPS, task="label", outputs=72),
                8,
                reading.slot_f1,
                "bert-snips",
            ),
        )
        for start in (None, first)
    ),
    *(
        Recipe(
            name,
            title,
            data=source,
            prepare=prepare,
            config=BERTConfig(
                3000, context=prepare.length, dropout=0.1, task=task, outputs=outputs
            ),
            epochs=epochs,
            measure=measure,
            **_FINE_TUNED,
        )
        for name, title, source, prepare, task, outputs, epochs, measure in (
            (
                "bert-sst2",
                "whether a sentence on a film is positive, from scratch",
                "sst2",
                reading.intents(3000, length=90),
                "classify",
                2,
                5,
                None,
            ),
            (
                "bert-wnut17",
                "the names in short messages, from scratch",
                "wnut17",
                reading.slots(3000, length=93),
                "label",
                13,
                8,
                reading.slot_f1,
            ),
            (
                "bert-ud-ewt",
                "the parts of speech in texts of the web, from scratch",
                "ud-ewt",
                reading.slots(3000, length=245),
                "label",
                17,
                3,
                None,
            ),
            (
                "bert-xquad",
                "questions whose answer is a passage of a text, from scratch",
                "xquad",
                reading.passages(3000, length=256),
                "span",
                None,
                10,
                reading.exact_passages,
            ),
        )
    ),
)
RECIPES = {recipe.name: recipe for recipe in (*_ALL, *_BERTS)}


def get(name):
    """The recipe of that name. Raises ValueError that suggests the nearest."""
    if name not in RECIPES:
        raise ValueError(
            f"unknown recipe {name!r}{suggestion(name, RECIPES)}: choose one of {', '.join(RECIPES)}"
        )
    return RECIPES[name]


def load(recipe):
    """The data set of a recipe, language as tokens -> Dataset."""
    loaded = data.load(recipe.data)
    return loaded if recipe.prepare is None else recipe.prepare(loaded)


def build(recipe, backend="numpy", device="auto", seed=0, workers=1, images=None, pretrained=None):
    """The learner of a recipe before its first step: the same weights in every backend.

    `workers` threads share each batch, NumPy only. A recipe with `whiten` takes the first WHITENED of the training `images` for it;
    without images its first filters are as random as the others. `pretrained` is the state of a BERT, from which all but its head is taken."""
    check_workers(backend, workers)
    package = dlcourse.backend(backend)
    device = package.resolve_device(device)
    # MLPConfig -> MLP
    model = getattr(package, type(recipe.config).__name__.removesuffix("Config"))(recipe.config)
    start = initial_state(recipe.config, seed)
    if pretrained is not None:
        start = with_body(start, pretrained)
    if recipe.whiten and images is not None:
        start = whitened(start, images[:WHITENED])
    model.load_state(start)
    if hasattr(model, "to"):
        model.to(device)  # PyTorch: an optimizer is made of parameters that are where they stay
    optimizer = getattr(package, recipe.optimizer)(model, **recipe.options)
    options = {"workers": workers} if backend == "numpy" else {}
    return package.Learner(
        model, optimizer, recipe.loss, device=device, clip=recipe.clip, seed=seed, **options
    )


def with_body(start, pretrained):
    """The state `start` with all of the BERT `pretrained` that it has too: embeddings, blocks, and the pooler where both have one.

    Raises ValueError where the two differ in size."""
    body = ("tok", "pos", "seg", "ln", "blocks", "pooler")
    shared = [part for part in body if f"{part}.weight" in start or part == "blocks"]
    return state.transfer(pretrained, start, *shared)


def check_workers(backend, workers):
    """Raise ValueError unless the backend's learner can split a batch over so many threads."""
    check_whole(workers=workers)
    if workers > 1 and backend != "numpy":
        raise ValueError(
            f"workers={workers}: {backend} has threads of its own, only NumPy's learner takes workers, so leave them out"
        )


def run(
    recipe,
    backend="numpy",
    device="auto",
    seed=0,
    dataset=None,
    folder=None,
    resume=False,
    progress="auto",
    report=None,
    workers=1,
):
    """Train a recipe (or the recipe of that name) once and measure it on the validation and the test set -> Run.

    With `folder`, the checkpoint and the final weights (`model.safetensors`) are written there; see `train.fit` for the rest."""
    recipe = get(recipe) if isinstance(recipe, str) else recipe
    dataset = dataset or load(recipe)
    body, metrics = None, {}
    if recipe.pretrained is not None:
        first = run(recipe.pretrained, backend, device, seed, progress=progress, workers=workers)
        body = first.learner.model.state()
        metrics = {f"pretraining_{name}": value for name, value in first.metrics.items()}
    learner = build(recipe, backend, device, seed, workers, dataset.train.x, body)
    history = train.fit(
        learner,
        dataset,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        schedule=recipe.schedule,
        seed=seed,
        patience=recipe.patience,
        augment=recipe.augment,
        steps=recipe.steps,
        folder=folder,
        resume=resume,
        progress=progress,
        report=report,
        settings={"recipe": recipe.name, "options": recipe.options},
    )
    for name in ("validation", "test"):
        part = getattr(dataset, name)
        if len(part.y) == 0:  # Tiny Shakespeare has no test text
            continue
        metrics[f"{name}_loss"], metrics[f"{name}_accuracy"] = train.evaluate(learner, part)
    if recipe.measure is not None:
        metrics |= recipe.measure(learner, dataset)
    if folder is not None:
        about = json.dumps(
            {
                "recipe": recipe.name,
                "model": type(learner.model).__name__,
                "config": asdict(recipe.config),
            }
        )
        # one key: safetensors does not keep their order
        state.save(Path(folder) / "model.safetensors", learner.model.state(), {"about": about})
    return Run(learner, history, metrics, sum(history.seconds))


def results(recipe, backend, seeds, runs, dataset):
    """What several runs of a recipe gave, as a dict for JSON: values by seed, their mean and range."""
    settings = {
        name: getattr(recipe, name)
        for name in ("loss", "optimizer", "options", "epochs", "batch_size", "clip", "patience")
    }
    return {
        "format": 1,
        "recipe": recipe.name,
        "title": recipe.title,
        "backend": backend,
        "device": runs[0].learner.device,
        "config": asdict(recipe.config),
        "settings": settings
        | ({} if recipe.steps is None else {"steps": recipe.steps})
        | ({} if recipe.prepare is None else {"prepare": _name(recipe.prepare)})
        | ({"whiten": True} if recipe.whiten else {})
        | {
            "schedule": repr(recipe.schedule),
            "augment": [repr(change) for change in recipe.augment],
        },
        "data": {"name": dataset.name, "source": dataset.source}
        | {part: len(getattr(dataset, part).y) for part in ("train", "validation", "test")},
        "seeds": list(seeds),
        "shown": shown(recipe, runs[0].metrics),
        "metrics": {
            name: _summary([one.metrics[name] for one in runs], 6) for name in runs[0].metrics
        },
        "seconds": _summary([one.seconds for one in runs], 2),
        "history": [
            {name: [round(v, 6) for v in values] for name, values in vars(one.history).items()}
            for one in runs
        ],
        "versions": train.versions(backend),
        "machine": machine() | _workers(runs[0].learner),
    }


def shown(recipe, metrics):
    """The names of the metrics that people read: the recipe's, then what it measures besides loss and accuracy on the test set."""
    plain = ("loss", "accuracy")
    others = [name for name in metrics if name.startswith("test_") and name[5:] not in plain]
    return list(dict.fromkeys([*recipe.shown, *others]))


def _name(function):
    """The name of a function, or how an object with settings is made."""
    return getattr(function, "__name__", repr(function))


def _workers(learner):
    """{"workers": count} of a learner that has more than one."""
    count = learner.workers.count if hasattr(learner, "workers") else 1
    return {"workers": count} if count > 1 else {}


def write(path, content):
    """Write a dict as JSON, atomically."""
    text = json.dumps(content, indent=2) + "\n"
    state.write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def machine():
    """What a result's seconds were measured on."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cpus": cpu_count(),
        "threads": threads(),
    }


def cpu_count():
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def threads():
    """The threads that BLAS and PyTorch may use."""
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    return int(chosen) if chosen.isdecimal() else cpu_count()


def _summary(values, digits):
    values = [round(float(value), digits) for value in values]
    return {
        "values": values,
        "mean": round(sum(values) / len(values), digits),
        "min": min(values),
        "max": max(values),
    }
