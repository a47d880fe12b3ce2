"""The command line: python -m dlcourse train RECIPE, recipes, transfer, scaling, doctor."""

import argparse
import dataclasses
import sys
from pathlib import Path

import dlcourse
from dlcourse.errors import MissingExtra


def main(arguments=None):
    """Run one command -> exit code: 0, 2 for what the user can cure (one sentence on stderr), 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        return 0
    except KeyboardInterrupt as error:
        print(f"\n{error or 'stopped'}", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError, OSError, MissingExtra) as error:
        if options.debug:
            raise
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        print(f"error: {text}", file=sys.stderr)
        return 2


def _parser():
    parser = argparse.ArgumentParser(
        "python -m dlcourse",
        description="The models of the book: train them, and look at what is installed.",
    )
    parser.add_argument("--version", action="version", version=f"dlcourse {dlcourse.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a recipe and measure it on the test set")
    train.add_argument("recipe", metavar="RECIPE", help="one of those that `recipes` lists")
    train.add_argument("--backend", default="numpy", help="numpy, torch or mlx (default: numpy)")
    train.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda, mps or gpu (default: auto, the best present)",
    )
    seeds = train.add_mutually_exclusive_group()
    seeds.add_argument(
        "--seed",
        type=int,
        help="of the weights, the order of the examples and dropout (default: 0)",
    )
    seeds.add_argument(
        "--seeds", type=int, nargs="+", metavar="SEED", help="several: trains once for each"
    )
    train.add_argument(
        "--out", metavar="DIR", help="write checkpoint, weights and results.json there"
    )
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    train.add_argument("--epochs", type=int, help="instead of the recipe's number")
    train.add_argument(
        "--workers",
        type=int,
        default=1,
        help="threads that share each batch, NumPy only (default: 1)",
    )
    train.add_argument(
        "--record",
        action="store_true",
        help="also write results/RECIPE-BACKEND.json, which the book shows",
    )
    train.set_defaults(run=_train)

    for name, about in (
        ("transfer", "the study of transfer that the book records"),
        ("scaling", "the study of size and loss that the book records"),
    ):
        study = commands.add_parser(name, help=about)
        study.add_argument(
            "--backend", default="torch", help="numpy, torch or mlx (default: torch)"
        )
        study.add_argument(
            "--record",
            action="store_true",
            help="write its results into results/, where the book reads them",
        )
        study.set_defaults(run=_study, study=name)

    commands.add_parser("recipes", help="list the recipes").set_defaults(run=_recipes)
    commands.add_parser(
        "doctor", help="versions, devices, data, speed, and what is missing"
    ).set_defaults(run=_doctor)
    return parser


def _train(options):
    from dlcourse import recipes

    recipe = recipes.get(options.recipe)
    # before the data is downloaded
    dlcourse.backend(options.backend).resolve_device(options.device)
    recipes.check_workers(options.backend, options.workers)
    seeds = options.seeds or [options.seed or 0]
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(
            f"--seeds {' '.join(map(str, seeds))}: give different numbers of at least 0"
        )
    if options.resume and not options.out:
        raise ValueError("--resume needs the folder of the earlier run: add --out DIR")
    if options.record and options.epochs:
        raise ValueError("--record writes the recipe as it stands: leave out --epochs")
    if options.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=options.epochs)
    dataset = recipes.load(recipe)
    print(f"{recipe.name}: {recipe.title}, {options.backend}, seeds {', '.join(map(str, seeds))}")
    runs = []
    for seed in seeds:
        folder = (
            None
            if not options.out
            else Path(options.out)
            if len(seeds) == 1
            else Path(options.out) / f"seed-{seed}"
        )
        one = recipes.run(
            recipe,
            options.backend,
            options.device,
            seed,
            dataset,
            folder,
            options.resume,
            report=_report,
            workers=options.workers,
        )
        runs.append(one)
        names = recipes.shown(recipe, one.metrics)
        found = ", ".join(f"{_spoken(name)} {one.metrics[name]:.4f}" for name in names)
        print(f"seed {seed}: {found}, {one.seconds:.1f} s")
    results = recipes.results(recipe, options.backend, seeds, runs, dataset)
    if len(seeds) > 1:
        means = [
            f"mean {_spoken(name)} {each['mean']:.4f} ({each['min']:.4f} to {each['max']:.4f})"
            for name in names
            for each in [results["metrics"][name]]
        ]
        print(f"{', '.join(means)}, {results['seconds']['mean']:.1f} s a seed")
    if options.out:
        recipes.write(Path(options.out) / recipes.RESULTS, results)
        print(f"written: {Path(options.out) / recipes.RESULTS}")
    if options.record:
        path = Path("results") / f"{recipe.name}-{options.backend}.json"
        recipes.write(path, results)
        print(f"written: {path}")


def _spoken(name):
    """test_exact_match -> test exact match"""
    return name.replace("_", " ")


def _report(epoch, row):
    if not sys.stderr.isatty():  # on a terminal the progress bar shows this
        print(
            f"epoch {epoch}: loss {row['loss']:.4f}, validation loss {row['validation_loss']:.4f}, "
            f"accuracy {row['accuracy']:.4f}, {row['seconds']:.1f} s",
            flush=True,
        )


def _study(options):
    from dlcourse import recipes, scaling, transfer

    study = {"transfer": transfer, "scaling": scaling}[options.study]
    results = study.run(study.STUDY, options.backend, report=lambda line: print(line, flush=True))
    if options.record:
        path = Path("results") / f"{study.STUDY.name}.json"
        recipes.write(path, results)
        print(f"written: {path}")


def _recipes(options):
    from dlcourse import recipes

    width = max(map(len, recipes.RECIPES))
    for recipe in recipes.RECIPES.values():
        print(f"{recipe.name:<{width}}  {recipe.title}")


def _doctor(options):
    from dlcourse import doctor

    print("\n".join(doctor.examine()))
