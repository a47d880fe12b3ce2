"""How the loss of a GPT falls with its size, measured: `python -m dlcourse scaling` runs the study that the book records.

Networks of one depth and several widths are trained for the same number of steps on the same text, and again on a small part of it: what a
larger network gains, and what it needs for that."""

import dataclasses
import time
from dataclasses import asdict, dataclass

from dlcourse import count, recipes, schedule, train
from dlcourse.config import GPTConfig


@dataclass(frozen=True)
class Study:
    """All that decides a study but the backend. The settings are plain ones, the same for every width; no test text is used."""

    name: str = "gpt-scaling"
    title: str = "GPTs of three widths on Python's language reference, and on a sixteenth of it"
    recipe: str = "gpt-pydoc"  # its text, batches and optimizer
    layers: int = 4
    widths: tuple[int, ...] = (16, 32, 64)
    shares: tuple[int, ...] = (1, 16)  # one part in so many of the training text
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 400
    lr: float = 2e-3  # falls to a tenth by half a cosine


STUDY = Study()


def run(study=STUDY, backend="torch", report=print):
    """The whole study -> a dict for JSON: losses by share of the text, by width and by seed."""
    recipe = recipes.get(study.recipe)
    dataset = recipes.load(recipe)
    losses = {"training_loss": {}, "validation_loss": {}}
    sizes, begin = {}, time.perf_counter()
    for width in study.widths:
        config = dataclasses.replace(
            recipe.config, layers=study.layers, width=width, hidden=4 * width
        )
        sizes[str(width)] = count.parameters(config)
        for share in study.shares:
            for seed in study.seeds:
                found = _train(study, recipe, config, dataset, share, seed, backend)
                for name, value in found.items():
                    losses[name].setdefault(str(share), {}).setdefault(str(width), []).append(
                        round(value, 4)
                    )
            report(
                f"width {width}, 1/{share} of the text: "
                + ", ".join(f"{name} {losses[name][str(share)][str(width)]}" for name in losses)
            )
    return {
        "format": 1,
        "study": study.name,
        "title": study.title,
        "backend": backend,
        "device": "cpu",
        "settings": {
            name: value
            for name, value in asdict(study).items()
            if name not in ("name", "title", "seeds")
        },
        "data": {"name": dataset.name, "source": dataset.source},
        "seeds": list(study.seeds),
        "metrics": losses,
        "parameters": sizes,
        "seconds": round(time.perf_counter() - begin, 1),
        "versions": train.versions(backend),
        "machine": recipes.machine(),
    }


def _train(study, recipe, config: GPTConfig, dataset, share, seed, backend):
    """One network -> its loss on the text that it saw, and on the validation text."""
    x, y = (part[: len(part) // share] for part in dataset.train)
    learner = recipes.build(
        dataclasses.replace(recipe, config=config), backend, device="cpu", seed=seed
    )
    train.fit(
        learner,
        (x, y),
        epochs=1,
        steps=study.steps,
        batch_size=recipe.batch_size,
        schedule=schedule.cosine(study.lr, warmup=0.05, final=study.lr / 10),
        seed=seed,
        progress=False,
    )
    apart = slice(
        None, 200 * config.context, config.context
    )  # 200 windows at most, none over another
    return {
        "training_loss": train.evaluate(learner, (x[apart], y[apart]))[0],
        "validation_loss": train.evaluate(learner, dataset.validation)[0],
    }
