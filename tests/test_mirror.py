"""The three backends mirror each other: the same files, public names, signatures and docstrings.

Read from the source, so that it holds on a machine without PyTorch and MLX. What differs is listed in EXCEPTIONS with its reason, and an
exception that no longer applies fails."""

import ast
import functools
import inspect
from pathlib import Path

import pytest

import dlcourse
from tests.numpy.models import KINDS

ROOT = Path(dlcourse.__file__).parent
BACKENDS = dlcourse.BACKENDS

# (a file or file:name, what of it is not the same in all three): why
EXCEPTIONS = {
    ("functional.py", "file"): "PyTorch and MLX bring their own operations and gradients",
    ("module.py:parameters_only", "name"): "PyTorch and MLX compute the gradients that are asked for",
    ("workers.py", "file"): "PyTorch and MLX split their operations over threads by themselves",
    ("learner.py:Learner.__init__", "signature"): "only NumPy's takes workers: the others have threads of their own",
    ("autograd.py", "file"): "a lesson: PyTorch and MLX bring their own",
    ("convolution.py", "file"): "PyTorch and MLX bring their own operations and gradients",
    ("layers.py:Conv2d", "docstring"): "PyTorch's images are channels first",
    ("layers.py:ConvTranspose2d", "docstring"): "PyTorch's images are channels first, MLX's own layer has another weight",
    ("layers.py:MaxPool2d", "docstring"): "PyTorch's images are channels first",
    ("layers.py:AvgPool2d", "docstring"): "PyTorch's images are channels first",
    ("layers.py:GlobalAvgPool", "docstring"): "PyTorch's images are channels first",
    **{
        (f"layers.py:{layer}.{call}", "name"): "PyTorch calls it forward"
        for layer in ("Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d", "GlobalAvgPool")
        for call in ("__call__", "forward")
    },
    ("module.py:Parameter", "name"): "PyTorch's own; in MLX every array attribute is one",
    ("module.py:Buffer", "name"): "PyTorch's own; in MLX every array attribute is one",
    ("module.py:Module.named_buffers", "name"): "PyTorch's own; in MLX a frozen parameter",
    ("module.py:Module.train", "name"): "the frameworks' own",
    ("module.py:Module.freeze", "signature"): "MLX's own has keywords, which go on working",
    ("module.py:Module.unfreeze", "signature"): "MLX's own has keywords, which go on working",
    ("layers.py:BatchNorm.train", "name"): "MLX asks each layer through _set_training_mode",
    ("module.py:Module.eval", "name"): "the frameworks' own",
    ("module.py:Module.named_parameters", "name"): "PyTorch's own; MLX has parameters() as a tree",
    ("module.py:Module.gradients", "name"): "gradients are values in MLX: the learner names them",
    ("module.py:Module.zero_gradients", "name"): "PyTorch has zero_grad; gradients are values in MLX",
    ("module.py:check_tokens", "name"): "NumPy's arrays go to check_inputs as they are",
    ("module.py:check_tokens", "docstring"): "each names its framework",
    ("module.py:to_numpy", "name"): "MLX keeps parameters as a tree of its own arrays",
    ("module.py:to_mlx", "name"): "MLX keeps parameters as a tree of its own arrays",
    ("module.py:Module", "docstring"): "a NumPy module finds its parameters itself, the others extend the framework's",
    **{
        (f"layers.py:{layer}.__call__", "name"): "PyTorch's and MLX's own layers are called as they are"
        for layer in ("Linear", "Embedding", "LayerNorm", "RMSNorm", "BatchNorm")
    },
    ("layers.py:BatchNorm", "docstring"): "PyTorch keeps the channels of images on the second axis",
    **{
        (place, "docstring"): "dropout acts where a generator is given in NumPy, in training mode elsewhere; the gradients are NumPy's"
        for place in ("mlp.py:MLP", "cnn.py:CNN", "attention.py:MultiHeadAttention", "transformer.py:FeedForward")
    },
    **{
        (f"{place}.{call}", "name"): "PyTorch calls it forward"
        for place in ("mlp.py:MLP", "cnn.py:CNN", "resnet.py:ResidualBlock", "resnet.py:PoolBlock", "resnet.py:ResNet")
        for call in ("__call__", "forward")
    },
    **{
        (f"{place}.__call__", "signature"): "randomness is an argument in NumPy, a mode of the model in the frameworks"
        for place in ("mlp.py:MLP", "cnn.py:CNN", "resnet.py:ResNet")
    },
    ("resnet.py:PoolBlock", "docstring"): "PyTorch's images are channels first",
    ("resnet.py:ResidualBlock", "docstring"): "PyTorch's images are channels first; the gradient is NumPy's",
    ("resnet.py:identity", "name"): "the frameworks have nn.Identity",
    **{
        (f"attention.py:{name}", "name"): "PyTorch and MLX bring their own operations and gradients"
        for name in ("attention", "rope", "streaming_attention", "turned")
    },
    **{
        (place, "docstring"): "dropout acts where a generator is given in NumPy; the gradients are NumPy's"
        for place in ("transformer.py:Block", "transformer.py:Transformer", "gpt.py:GPT", "bert.py:BERT")
    },
    **{
        (f"{place}.{call}", "name"): "PyTorch calls it forward"
        for place in (
            "attention.py:MultiHeadAttention",
            "transformer.py:FeedForward",
            "transformer.py:Block",
            "transformer.py:Transformer",
            "gpt.py:GPT",
            "bert.py:BERT",
        )
        for call in ("__call__", "forward")
    },
    **{
        (f"{place}.__call__", "signature"): "randomness is an argument in NumPy, a mode of the model in the frameworks"
        for place in (
            "attention.py:MultiHeadAttention",
            "transformer.py:FeedForward",
            "transformer.py:Block",
            "transformer.py:Transformer",
            "gpt.py:GPT",
            "bert.py:BERT",
        )
    },
    **{
        (f"transformer.py:Transformer.{method}", kind): "in NumPy it takes a generator and returns its backward too"
        for method in ("encode", "decode")
        for kind in ("signature", "docstring")
    },
    ("optim.py:Optimizer", "docstring"): "NumPy packs one flat buffer, the others wrap the framework's class",
    ("optim.py:Optimizer.__init__", "signature"): "the wrappers take what they wrap",
    ("optim.py:Optimizer.zero_gradients", "name"): "it clears NumPy's flat buffer",
    ("optim.py:Optimizer.step", "name"): "NumPy has no update in common, the wrappers have",
    ("optim.py:Optimizer.step", "signature"): "gradients are values in MLX, so the step takes them",
    ("optim.py:SGD.step", "name"): "PyTorch's class does it all",
    ("optim.py:SGD.step", "signature"): "gradients are values in MLX, so the step takes them",
    ("optim.py:Adam.step", "name"): "PyTorch's class does it all",
    ("optim.py:Adam.step", "signature"): "gradients are values in MLX, so the step takes them",
    ("optim.py:AdamW.step", "name"): "MLX's AdamW would decay biases, so that the decay is written out",
    ("optim.py:RMSProp.step", "name"): "PyTorch's and MLX's classes do it all",
    ("optim.py:ProximalSGD.step", "signature"): "gradients are values in MLX, so the step takes them",
    ("optim.py:Lion.step", "name"): "PyTorch's wrapper leaves it to an optimizer of its own",
    ("optim.py:Lion.step", "signature"): "gradients are values in MLX, so the step takes them",
    ("optim.py:Muon.step", "name"): "PyTorch's wrapper leaves it to an optimizer of its own",
    ("optim.py:Muon.step", "signature"): "gradients are values in MLX, so the step takes them",
    ("optim.py:clip_gradients", "signature"): "gradients are values in MLX",
    ("optim.py:clip_gradients", "docstring"): "gradients are values in MLX, so that it returns the clipped ones too",
    ("learner.py:Learner", "docstring"): "each names the generator of its dropout masks",
    **{(f"recurrent.py:{cell}_cell", "name"): "PyTorch and MLX bring layers and their gradients" for cell in ("rnn", "lstm", "gru")},
    **{(f"recurrent.py:{layer}", "docstring"): "the backward pass is NumPy's" for layer in ("Elman", "LSTM", "GRU")},
    **{
        (
            f"recurrent.py:{layer}.__call__",
            "name",
        ): "a base class of the three has it in NumPy and PyTorch, in MLX each extends a layer of its own"
        for layer in ("Elman", "LSTM", "GRU")
    },
    ("rnn.py:RNN", "docstring"): "dropout acts where a generator is given in NumPy, in training mode elsewhere; the gradients are NumPy's",
    **{("rnn.py:RNN." + call, "name"): "PyTorch calls it forward" for call in ("__call__", "forward")},
    **{
        (f"rnn.py:RNN.{method}", "signature"): "randomness is an argument in NumPy, a mode of the model in the frameworks"
        for method in ("__call__", "unroll")
    },
    ("rnn.py:RNN.unroll", "docstring"): "gradients flow back into a given state in the frameworks only",
}


def public(name):
    return not name.startswith("_") or name in ("__init__", "__call__")


def signature(function):
    return ast.unparse(function.args)


def described(path):
    """{"name" or "Class.method": (signature, docstring)} of the public names that a file defines."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and public(node.name):
            found[node.name] = (signature(node), ast.get_docstring(node))
        if isinstance(node, ast.ClassDef) and public(node.name):
            found[node.name] = (None, ast.get_docstring(node))
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and public(method.name):
                    found[f"{node.name}.{method.name}"] = (signature(method), ast.get_docstring(method))
    return found


def files(backend):
    return sorted(str(path.relative_to(ROOT / backend)) for path in (ROOT / backend).rglob("*.py"))


@functools.cache
def differences():
    """{(what, kind): sentence} of everything that is not the same in all three."""
    found = {}
    listed = {backend: files(backend) for backend in BACKENDS}
    for file in sorted(set().union(*listed.values())):
        having = [backend for backend in BACKENDS if file in listed[backend]]
        if len(having) < len(BACKENDS):
            found[file, "file"] = f"{file} is in {', '.join(having)} only"
            continue
        names = {backend: described(ROOT / backend / file) for backend in BACKENDS}
        for name in sorted(set().union(*names.values())):
            having = [backend for backend in BACKENDS if name in names[backend]]
            constructor = name.endswith(".__init__")
            if len(having) < len(BACKENDS) and not constructor:  # it may be inherited; test_signatures_seen_from_outside compares it
                found[f"{file}:{name}", "name"] = f"{file}: {name} is in {', '.join(having)} only"
            for i, kind in enumerate(("signature", "docstring")):
                versions = {backend: names[backend][name][i] for backend in having}
                if kind == "docstring":  # a method without docstring says what its mirrors say
                    versions = {backend: text for backend, text in versions.items() if text}
                if len(set(versions.values())) > 1:
                    found[f"{file}:{name}", kind] = f"{file}: the {kind} of {name} differs: {versions}"
    return found


def test_mirrored():
    found = differences()
    unlisted = {key: sentence for key, sentence in found.items() if key not in EXCEPTIONS}
    assert not unlisted, "\n".join(unlisted.values())


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=" ".join)
def test_exception_is_still_needed(exception):
    assert exception in differences(), "the backends agree here now: remove the exception"


def test_the_packages_export_the_same_names():
    exported = {}
    for backend in BACKENDS:
        tree = ast.parse((ROOT / backend / "__init__.py").read_text(encoding="utf-8"))
        (names,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
        imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
        assert sorted(names) == sorted(imported), backend
        exported[backend] = names
    assert exported["numpy"] == exported["torch"] == exported["mlx"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_backend_imports_another(backend):
    others = {f"dlcourse.{other}" for other in BACKENDS if other != backend} | {other for other in ("torch", "mlx") if other != backend}
    for file in files(backend):
        for node in ast.walk(ast.parse((ROOT / backend / file).read_text(encoding="utf-8"))):
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for module in modules:
                assert not any(module == other or module.startswith(f"{other}.") for other in others), f"{backend}/{file} imports {module}"
                assert not (isinstance(node, ast.ImportFrom) and node.level), f"{backend}/{file} has a relative import"


def public_methods(cls):
    methods = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("dlcourse."):
            methods |= {name: value for name, value in vars(base).items() if inspect.isfunction(value) and public(name)}
    return {name: inspect.signature(method) for name, method in methods.items()}


# Seen from outside, inherited methods included: (class, method) -> why it differs.
OUTSIDE = {
    **{
        (model, method): reason
        for model in (
            "MLP",
            "CNN",
            "ResNet",
            "ResidualBlock",
            "PoolBlock",
            "MultiHeadAttention",
            "FeedForward",
            "Block",
            "GPT",
            "Transformer",
            "BERT",
        )
        for method, reason in {
            "__call__": "PyTorch's comes from nn.Module; NumPy's takes a generator",
            "forward": "PyTorch's name for it",
            "named_parameters": "the frameworks have their own",
            "named_buffers": "the frameworks have their own",
            "train": "the frameworks have their own",
            "eval": "the frameworks have their own",
            "freeze": "MLX's own has keywords, which go on working",
            "unfreeze": "MLX's own has keywords, which go on working",
            "gradients": "values in MLX",
            "zero_gradients": "the frameworks have their own way",
        }.items()
    },
    **{
        (layer, call): "PyTorch's name for it is forward"
        for layer in ("Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d", "GlobalAvgPool")
        for call in ("__call__", "forward")
    },
    **{(layer, "__call__"): "the frameworks' own" for layer in ("Linear", "Embedding", "LayerNorm", "RMSNorm", "BatchNorm")},
    **{
        (layer, method): reason
        for layer in (
            *("Linear", "Embedding", "LayerNorm", "RMSNorm", "BatchNorm"),
            *("Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d", "GlobalAvgPool"),
        )
        for method, reason in {
            "named_parameters": "the frameworks have their own",
            "named_buffers": "the frameworks have their own",
            "train": "the frameworks have their own",
            "eval": "the frameworks have their own",
            "freeze": "inside a model, parameters are reached through it",
            "unfreeze": "inside a model, parameters are reached through it",
            "state": "inside a model, parameters are reached through it",
            "load_state": "inside a model, parameters are reached through it",
            "gradients": "inside a model, parameters are reached through it",
            "zero_gradients": "the frameworks have their own way",
        }.items()
    },
    **{("Transformer", method): "in NumPy it takes a generator" for method in ("encode", "decode")},
    ("Learner", "__init__"): "only NumPy's takes workers: the others have threads of their own",
    ("clip_gradients", ""): "values in MLX",
    **{(kind, "step"): "values in MLX" for kind in KINDS},
    **{(kind, "zero_gradients"): "it clears NumPy's flat buffer" for kind in KINDS},
    **{
        (thing, method): "as in the other models and layers"
        for thing in ("RNN", "Elman", "LSTM", "GRU")
        for method in (
            "__call__",
            "forward",
            "named_parameters",
            "named_buffers",
            "train",
            "eval",
            "freeze",
            "unfreeze",
            "gradients",
            "zero_gradients",
        )
    },
    **{
        (layer, method): "inside a model, parameters are reached through it"
        for layer in ("Elman", "LSTM", "GRU")
        for method in ("state", "load_state")
    },
    ("RNN", "unroll"): "NumPy's takes a generator",
}


def test_signatures_seen_from_outside():
    packages = {name: dlcourse.backend(name) for name in BACKENDS}
    found = set()
    for name in packages["numpy"].__all__:
        things = {backend: getattr(package, name) for backend, package in packages.items()}
        if not inspect.isclass(things["numpy"]):
            if len({str(inspect.signature(thing)) for thing in things.values()}) > 1:
                found.add((name, ""))
            continue
        methods = {backend: public_methods(thing) for backend, thing in things.items()}
        for method in set().union(*methods.values()):
            if len({str(methods[backend].get(method)) for backend in BACKENDS}) > 1:
                found.add((name, method))
    assert found - OUTSIDE.keys() == set(), "not mirrored, and no reason given"
    assert OUTSIDE.keys() - found == set(), "mirrored now: remove the exception"
