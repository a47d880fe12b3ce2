"""Transfer from one data set to another, measured: `python -m dlcourse transfer` runs the study that the book records.

A CNN is trained on a source. Its layers then serve a target of which only some labels are given: frozen under a new head, or as the start of a
training. Beside them stand the controls: the same network from scratch, the same network frozen without any training, and the bare pixels."""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np

import dlcourse
from dlcourse import data, recipes, schedule, train
from dlcourse.config import CNNConfig, MLPConfig
from dlcourse.data.dataset import Split
from dlcourse.initial import initial_state
from dlcourse.numpy import convolution, functional
from dlcourse.state import transfer, under

POOLS = {"max": convolution.max_pool2d, "avg": convolution.avg_pool2d}


@dataclass(frozen=True)
class Study:
    """All that decides a study but the backend. The settings are plain ones, the same for every way.

    None was tuned for the record, but the number of steps and the head of zeros were settled after first looks at test accuracies of small tasks."""

    name: str = "transfer-fashion-mnist"
    title: str = "LeNet-5's layers, trained on Fashion-MNIST, used for MNIST"
    source: str = "fashion-mnist"
    target: str = "mnist"
    config: CNNConfig = CNNConfig()  # noqa: RUF009 - frozen
    seeds: tuple[int, ...] = (0, 1, 2)
    labels: tuple[int, ...] = (10, 30, 100, 300, 1000, 10000)  # of the target, all classes together
    depth_labels: tuple[int, ...] = (100,)  # at which the sweep over frozen layers is made
    lr: float = 2e-3  # of all trainings of the network
    source_steps: int = 844  # one epoch of batches of 64
    steps: int = 300  # for at most 1,000 labels; up to 4 times as many for more
    probe_lr: float = 1e-2
    probe_steps: int = 300


STUDY = Study()


def fit(
    config, start, data, *, frozen=(), lr=2e-3, steps=200, batch_size=32, seed=0, backend="numpy"
):
    """Train the network of `config` from the state `start`, in whole epochs that make about `steps` steps of Adam -> its learner.

    data is a pair (x, y); what stands under the prefixes `frozen` stays as it is; the rate falls from `lr` by half a cosine."""
    package = dlcourse.backend(backend)
    model = getattr(package, type(config).__name__.removesuffix("Config"))(config)
    model.load_state(start)
    if frozen:
        model.freeze(*frozen)
    learner = package.Learner(model, package.Adam(model), device="cpu", seed=seed)
    epochs = max(1, round(steps / -(-len(data[0]) // batch_size)))
    train.fit(
        learner,
        data,
        epochs=epochs,
        batch_size=batch_size,
        schedule=schedule.cosine(lr),
        seed=seed,
        progress=False,
    )
    return learner


def features(config, state, x, batch_size=500):
    """What stands behind each part of a CNN for images x (N, H, W, C): {"pixels", "convs", "layers.0", ...: (N, features)}, the head left out."""
    activation, parts = getattr(functional, config.activation), []
    for start in range(0, len(x), batch_size):
        h = x[start : start + batch_size]
        found = {"pixels": h.reshape(len(h), -1)}
        for i, padding in enumerate(config.padding):
            z, _ = convolution.conv2d(
                h, state[f"convs.{i}.weight"], state[f"convs.{i}.bias"], padding=padding
            )
            h, _ = POOLS[config.pool](activation(z)[0], 2)
        h = found["convs"] = h.reshape(len(h), -1)
        for i in range(len(config.hidden)):
            z, _ = functional.linear(h, state[f"layers.{i}.weight"], state[f"layers.{i}.bias"])
            h = found[f"layers.{i}"] = activation(z)[0]
        parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def new_head(config, source, seed=None):
    """The layers of the state `source` under a head for `config`: of zeros, or with `seed` as `initial_state` draws it  (eq-head-gradient)."""
    fresh = initial_state(config, seed or 0)
    head = groups(config)[-1]
    state = transfer(source, fresh, *groups(config)[:-1])
    if seed is None:
        state |= {name: np.zeros_like(state[name]) for name in under([head], state)}
    return state


def probe(given, y, classes, *, lr=1e-2, steps=300, seed=0):
    """A linear probe: multinomial logistic regression on features or images `given` (N, ...) with labels y (N,) -> its learner.

    It starts at zero, so that nothing is drawn at random but the order of the examples  (eq-linear-probe)."""
    config = MLPConfig(math.prod(given.shape[1:]), hidden=(), outputs=classes)
    start = {name: np.zeros_like(array) for name, array in initial_state(config, 0).items()}
    return fit(config, start, (given, y), lr=lr, steps=steps, seed=seed)


def subset(split, count, seed):
    """`count` examples of a split, drawn with `seed`, of every class the same number (or one more) as long as there are enough -> Split."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(split.y == label)) for label in np.unique(split.y)]
    turns = [
        row[i] for i in range(max(map(len, rows))) for row in rows if i < len(row)
    ]  # one of each class, then a second, ...
    chosen = np.array(turns[:count])
    return Split(split.x[chosen], split.y[chosen])


def accuracy(learner, split):
    """The share of right answers, without training."""
    return train.evaluate(learner, split)[1]


def groups(config):
    """The prefixes of a CNN's layers from the image upwards, head last: ("convs.0", ..., "layers.0", ...)."""
    return (
        *(f"convs.{i}" for i in range(len(config.channels))),
        *(f"layers.{i}" for i in range(len(config.hidden) + 1)),
    )


def run(study=STUDY, backend="torch", report=print):
    """The whole study -> a dict for JSON: test accuracies by way, by number of labels and by seed."""
    source, target = data.load(study.source), data.load(study.target)
    curves, depth, source_accuracy, seconds = {}, {}, [], []
    for seed in study.seeds:
        begin = time.perf_counter()
        options = {"lr": study.lr, "seed": seed, "backend": backend}
        learner = fit(
            study.config,
            initial_state(study.config, seed),
            source.train,
            steps=study.source_steps,
            batch_size=64,
            **options,
        )
        source_accuracy.append(accuracy(learner, source.test))
        one = _Seed(study, learner.model.state(), target, seed, options)
        for labels in study.labels:
            for way, value in one.ways(labels).items():
                curves.setdefault(way, {}).setdefault(str(labels), []).append(round(value, 4))
            report(
                f"seed {seed}, {labels} labels: "
                + ", ".join(
                    f"{way} {values[str(labels)][-1]:.4f}" for way, values in curves.items()
                )
            )
        for labels in study.depth_labels:
            for frozen, pair in one.depths(labels).items():
                for start, value in pair.items():
                    depth.setdefault(str(labels), {}).setdefault(start, {}).setdefault(
                        str(frozen), []
                    ).append(round(value, 4))
            report(f"seed {seed}, {labels} labels, by frozen layers: {depth[str(labels)]}")
        seconds.append(time.perf_counter() - begin)
    return {
        "format": 1,
        "study": study.name,
        "title": study.title,
        "backend": backend,
        "device": "cpu",
        "config": asdict(study.config),
        "settings": {
            name: value
            for name, value in asdict(study).items()
            if name not in ("config", "seeds", "title", "name")
        },
        "data": {
            part: _counts(dataset) for part, dataset in (("source", source), ("target", target))
        },
        "seeds": list(study.seeds),
        "metrics": {
            "source_accuracy": [round(value, 4) for value in source_accuracy],
            "test_accuracy": curves,
            "test_accuracy_by_frozen": depth,
        },
        "groups": list(groups(study.config)),
        "seconds": [round(value, 1) for value in seconds],
        "versions": train.versions(backend),
        "machine": recipes.machine(),
    }


def _counts(dataset):
    return {"name": dataset.name, "source": dataset.source} | {
        part: len(getattr(dataset, part).y) for part in ("train", "validation", "test")
    }


class _Seed:
    """What one seed of a study has in common: the trained state, a fresh one, and the target's test features of both."""

    def __init__(self, study, trained, target, seed, options):
        self.study, self.target, self.seed, self.options = study, target, seed, options
        self.states = {"source": trained, "random": initial_state(study.config, seed + 1000)}
        self.tests = {
            start: features(study.config, state, target.test.x)
            for start, state in self.states.items()
        }

    def ways(self, labels):
        """{way: test accuracy} of probes on every kind of feature, of fine-tuning and of training from scratch."""
        given, found = self._subset(labels), {}
        for start, state in self.states.items():
            train_features = features(self.study.config, state, given.x)
            for layer, array in train_features.items():
                if layer == "pixels" and start == "random":
                    continue  # the same pixels
                steps = self._steps(labels, self.study.probe_steps)
                learner = probe(
                    array,
                    given.y,
                    self.study.config.outputs,
                    lr=self.study.probe_lr,
                    steps=steps,
                    seed=self.seed,
                )
                way = "pixels" if layer == "pixels" else f"{start} {layer}"
                found[way] = accuracy(learner, (self.tests[start][layer], self.target.test.y))
        for way, start, head in (
            ("fine-tuned", "source", None),
            ("fine-tuned, random head", "source", 0),
            ("scratch", "random", 0),
        ):
            found[way] = self._tuned(given, start, head=head)
        return found

    def depths(self, labels):
        """{number of frozen groups: {start: test accuracy}}; what is not frozen trains from where it stands, the head from zeros."""
        given, count = self._subset(labels), len(groups(self.study.config))
        return {
            frozen: {start: self._tuned(given, start, frozen) for start in self.states}
            for frozen in range(count)
        }

    def _tuned(self, given, start, frozen=0, head=None):
        """Train what is not frozen; a head that trains alone is a probe, and has a probe's learning rate. `head` 0: random, None: zeros."""
        layers, study = groups(self.study.config), self.study
        state = new_head(
            study.config, self.states[start], None if head is None else self.seed + 1000
        )
        lr = study.probe_lr if frozen == len(layers) - 1 else study.lr
        steps = self._steps(len(given.y), study.steps)
        options = self.options | {"lr": lr, "steps": steps}
        return accuracy(
            fit(study.config, state, given, frozen=layers[:frozen], **options), self.target.test
        )

    def _subset(self, labels):
        return subset(self.target.train, labels, self.seed)

    def _steps(self, labels, steps):
        return steps * min(4, max(1, labels // 1000))
