import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dlcourse
from dlcourse import data, recipes, schedule, state, train
from dlcourse.config import CNNConfig, GPTConfig
from dlcourse.initial import initial_state
from dlcourse.recipes import ARTICLE_NETWORKS, RECIPES

RESULTS = Path(__file__).parents[1] / "results"


def test_get_suggests():
    assert recipes.get("mlp-digits") is RECIPES["mlp-digits"]
    with pytest.raises(ValueError, match=r"unknown recipe 'mlp-digit' \(did you mean mlp-digits\?\): choose one of mlp-digits, "):
        recipes.get("mlp-digit")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_recipe_is_consistent(recipe):
    assert recipe.data in data.names()
    assert isinstance(recipe.schedule, schedule.constant | schedule.cosine | schedule.steps)
    who = recipes.build(recipe)
    assert type(who.optimizer).__name__ == recipe.optimizer
    if recipe.data in ("digits", "breast-cancer"):
        dataset = data.load(recipe.data)
        assert who.predict(dataset.test.x[:3]).shape == (3, recipe.config.outputs)


def test_every_data_set_of_language_has_a_recipe():
    used = {recipe.data for recipe in RECIPES.values()}
    files = {"tinyshakespeare", "names", "tang-poems", "snips", "sst2", "wnut17", "ud-ewt", "xquad", "tatoeba"}
    assert used >= files | {"pydoc", "grammar", "dates", "arithmetic", "people", "people-questions"}


def named(config):
    """The numbers in a network's name: the layers of an MLP; of a CNN the channels of its images and convolutions, then its hidden layers and
    outputs."""
    if isinstance(config, CNNConfig):
        return [config.inputs[2], *config.channels, *config.hidden, config.outputs]
    return list(config.sizes)


@pytest.mark.parametrize("name", ARTICLE_NETWORKS)
def test_article_networks_are_what_their_names_say_and_agree_in_all_backends(name):
    config = ARTICLE_NETWORKS[name]
    numbers = [int(part) for part in name.split("-") if part.isdecimal()]
    if numbers:
        assert named(config) == numbers
    assert ("dropout" in name) == (config.dropout > 0)
    rng = np.random.default_rng(0)
    shape = config.inputs if isinstance(config.inputs, tuple) else (config.inputs,)
    x = (rng.random((5, *shape)) if len(shape) == 3 else rng.normal(size=(5, *shape))).astype(np.float32)
    loss = "cross_entropy" if config.outputs > 1 else "binary_cross_entropy"
    batch = (x, rng.integers(0, max(2, config.outputs), 5))
    found = {}
    for backend in dlcourse.BACKENDS:
        package = dlcourse.backend(backend)
        model = getattr(package, type(config).__name__.removesuffix("Config"))(config)
        model.load_state(initial_state(config, seed=0))
        who = package.Learner(model, package.SGD(model), loss)
        found[backend] = who.predict(x), who.gradients(batch)
    logits, (value, gradients) = found["numpy"]
    for backend in ("torch", "mlx"):
        other_logits, (other_value, other_gradients) = found[backend]
        state.compare(other_logits, logits).check(1e-5)
        state.compare(other_gradients, gradients).check(1e-5)
        assert other_value == pytest.approx(value, rel=1e-5)


def test_all_backends_start_from_the_same_weights():
    states = [recipes.build(RECIPES["mlp-digits"], backend, seed=4).model.state() for backend in dlcourse.BACKENDS]
    for other in states[1:]:
        state.compare(other, states[0]).check(0)


@pytest.mark.parametrize("backend", dlcourse.BACKENDS)
def test_logistic_regression_beats_97_percent_on_validation(backend):
    one = recipes.run("logistic-breast-cancer", backend, "cpu", progress=False)
    assert one.metrics["validation_accuracy"] > 0.97
    assert one.metrics["test_accuracy"] > 0.95


def test_digits_with_numpy_reaches_the_recorded_range():
    one = recipes.run("mlp-digits", "numpy", "cpu", seed=0, progress=False)
    assert one.metrics["test_accuracy"] >= 0.97
    assert len(one.history) == RECIPES["mlp-digits"].epochs


def test_run_writes_checkpoint_and_weights(tmp_path):
    recipe = replace(RECIPES["mlp-digits"], epochs=2)
    one = recipes.run(recipe, folder=tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [train.CHECKPOINT, "model.safetensors"]
    loaded = state.load(tmp_path / "model.safetensors")
    state.compare(loaded, one.learner.model.state()).check(0)
    about = json.loads(state.load_metadata(tmp_path / "model.safetensors")["about"])
    assert about["recipe"] == "mlp-digits"
    assert about["config"]["inputs"] == 64
    again = recipes.run(recipe, folder=tmp_path, resume=True, progress=False)
    assert again.metrics == one.metrics
    assert again.seconds == one.seconds


def test_results_hold_what_a_page_needs(tmp_path):
    recipe, dataset = replace(RECIPES["mlp-digits"], epochs=1), data.load("digits")
    runs = [recipes.run(recipe, seed=seed, dataset=dataset, progress=False) for seed in (3, 4)]
    recipes.write(tmp_path / "r.json", recipes.results(recipe, "numpy", [3, 4], runs, dataset))
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    check_results(json.loads((tmp_path / "r.json").read_text(encoding="utf-8")), runs)


def check_results(results, runs=None):
    assert {
        "format",
        "recipe",
        "backend",
        "device",
        "config",
        "settings",
        "data",
        "seeds",
        "metrics",
        "seconds",
        "versions",
        "machine",
    } <= set(results)
    parts = [part for part in ("validation", "test") if results["data"][part]]
    assert set(results["metrics"]) >= {f"{part}_{what}" for part in parts for what in ("loss", "accuracy")}
    assert set(results.get("shown", [])) <= set(results["metrics"])
    for entry in (*results["metrics"].values(), results["seconds"]):
        assert len(entry["values"]) == len(results["seeds"])
        assert entry["mean"] == pytest.approx(np.mean(entry["values"]), abs=1e-2 if entry is results["seconds"] else 1e-5)
        assert (entry["min"], entry["max"]) == (min(entry["values"]), max(entry["values"]))
    assert {"python", "numpy", "dlcourse"} <= set(results["versions"])
    assert (results["backend"] in results["versions"]) or results["backend"] == "numpy"
    assert results["machine"]["cpus"] >= 1
    if runs:
        assert results["metrics"]["test_accuracy"]["values"] == [round(one.metrics["test_accuracy"], 6) for one in runs]


def test_a_text_without_a_test_part_is_measured_on_its_validation_part():
    """And a language model tells its perplexity, e^loss."""
    whole = data.Text("tiny", "the cat sat on the mat. " * 20, "the mat sat on the cat. " * 8, "", "made here", "none")
    recipe = replace(RECIPES["gpt-pydoc"], config=GPTConfig(12, layers=1, width=16), epochs=1, steps=3, shown=("validation_loss",))
    dataset = recipe.prepare(whole)
    one = recipes.run(recipe, dataset=dataset, progress=False)
    assert sorted(one.metrics) == ["validation_accuracy", "validation_loss", "validation_perplexity"]
    assert one.metrics["validation_perplexity"] == pytest.approx(math.exp(one.metrics["validation_loss"]))
    results = recipes.results(recipe, "numpy", [0], [one], dataset)
    assert results["shown"] == ["validation_loss"]
    assert results["data"]["test"] == 0
    assert recipes.shown(RECIPES["mlp-digits"], dict.fromkeys(("test_loss", "test_exact_match"))) == [
        "test_accuracy",
        "test_loss",
        "test_exact_match",
    ]


def test_the_gap_to_the_entropy_of_a_model_that_knows_nothing():
    """Uniform guesses lose log V; the grammar's own log-probabilities are subtracted, and the gap of the source itself would be 0."""
    recipe = replace(RECIPES["gpt-grammar"], config=GPTConfig(22, layers=1, width=8))
    dataset = data.Grammar().dataset(train=8, validation=300, test=300)
    learner = recipes.build(recipe)
    learner.model.load_state({name: np.zeros_like(array) for name, array in learner.model.state().items()})
    gap = recipe.measure(learner, dataset)
    for part in ("validation", "test"):
        assert gap[f"{part}_gap"] == pytest.approx(math.log(22) - data.Grammar().entropy(64), abs=0.01)


# What the book promises: at least this mean test accuracy over this many seeds.
BARS = {"mlp-digits-numpy": (0.97, 5), "mlp-digits-torch": (0.97, 5), "mlp-digits-mlx": (0.97, 5), "mlp-mnist-numpy": (0.978, 3)}


@pytest.mark.parametrize("name", BARS)
def test_recorded_results_reach_their_bar(name):
    text = (RESULTS / f"{name}.json").read_text(encoding="utf-8")
    results = json.loads(text)
    check_results(results)
    least, seeds = BARS[name]
    assert len(results["seeds"]) >= seeds
    assert results["metrics"]["test_accuracy"]["mean"] >= least
    assert results["seconds"]["max"] < 60


def test_recorded_intents_reach_their_bar():
    """The mean of three seeds, not each of them; a classifier that counts words stands beside it in the book."""
    results = json.loads((RESULTS / "bert-snips-intents-torch.json").read_text(encoding="utf-8"))
    check_results(results)
    assert len(results["seeds"]) >= 3
    assert results["metrics"]["test_accuracy"]["mean"] > 0.974
    words = json.loads((RESULTS / "snips-words.json").read_text(encoding="utf-8"))
    assert {part: words["data"][part] for part in ("train", "validation", "test")} == {
        part: results["data"][part] for part in ("train", "validation", "test")
    }


MOST = {  # of language models: at most this mean, in nats a token, over three seeds
    "gpt-shakespeare-numpy": ("validation_loss", 1.88),
    "gpt-shakespeare-torch": ("validation_loss", 1.88),
    "gpt-grammar-numpy": ("test_gap", 0.05),
    "gpt-grammar-torch": ("test_gap", 0.05),
}


@pytest.mark.parametrize("name", MOST)
def test_recorded_language_models_reach_their_bar(name):
    results = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    check_results(results)
    metric, most = MOST[name]
    assert len(results["seeds"]) >= 3
    assert results["metrics"][metric]["mean"] <= most
    assert metric in results["shown"]


def recorded():
    """The files that recipes recorded; benchmarks write theirs beside them."""
    return [path for path in sorted(RESULTS.glob("*.json")) if "recipe" in json.loads(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_recorded_results_are_of_the_recipe_as_it_stands(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    recipe = recipes.get(results["recipe"])
    assert path.stem == f"{recipe.name}-{results['backend']}"
    assert results["config"] == json.loads(json.dumps(vars(recipe.config)))
    assert results["settings"]["schedule"] == repr(recipe.schedule)
    for name in ("loss", "optimizer", "options", "epochs", "batch_size", "clip", "patience"):
        assert results["settings"][name] == json.loads(json.dumps(getattr(recipe, name)))  # lists for tuples
    # what a recipe does not have is not written, and the first records knew no augment
    assert results["settings"].get("steps") == recipe.steps
    assert results["settings"].get("prepare") == (None if recipe.prepare is None else recipes._name(recipe.prepare))
    assert results["settings"].get("augment", []) == [repr(change) for change in recipe.augment]
    assert results["settings"].get("whiten", False) == recipe.whiten
    assert "/" not in path.read_text(encoding="utf-8").replace("mnist/", ""), "a path of the machine must not be recorded"


def test_workers_share_the_batches_of_numpy():
    recipe, dataset = replace(RECIPES["mlp-digits"], epochs=1), data.load("digits")
    runs = [recipes.run(recipe, dataset=dataset, progress=False, workers=workers) for workers in (1, 2)]
    assert runs[1].metrics["test_loss"] == pytest.approx(runs[0].metrics["test_loss"], rel=1e-3)
    machines = [recipes.results(recipe, "numpy", [0], [one], dataset)["machine"] for one in runs]
    assert machines[1] == machines[0] | {"workers": 2}
    for backend in ("torch", "mlx"):
        assert recipes.build(recipe, backend, workers=1).device
        with pytest.raises(ValueError, match=f"workers=2: {backend} has threads of its own"):
            recipes.build(recipe, backend, workers=2)
    with pytest.raises(ValueError, match="workers=0: it must be a whole number of at least 1"):
        recipes.build(recipe, workers=0)


def test_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert recipes.threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert recipes.threads() == recipes.cpu_count() >= 1
