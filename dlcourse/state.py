"""The one state dict, {dotted name: array}: checked, saved, loaded, compared.

Layouts are those of the NumPy backend: Linear weights (O, I), convolution weights OHWI. Only `to_torch` and `from_torch`
know that PyTorch keeps convolution weights as OIHW."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcourse import huggingface
from dlcourse.config import ResNetConfig
from dlcourse.errors import need, suggestion
from dlcourse.initial import initial_state

LISTED = 9  # faults of a state that are told one by one


def check_names(shapes, state):
    """Raise ValueError that lists the missing, unknown and mis-shaped names of `state` against {name: shape}, of many some of each kind."""
    faults = [
        [f"missing {name} {shape}" for name, shape in shapes.items() if name not in state],
        [f"unknown {name}" for name in state if name not in shapes],
        [
            f"{name} has shape {np.shape(state[name])}, expected {tuple(shape)}"
            for name, shape in shapes.items()
            if name in state and np.shape(state[name]) != tuple(shape)
        ],
    ]
    count = sum(map(len, faults))
    if count:
        most = count if count <= LISTED else LISTED // 3  # of each kind
        listed = [fault for kind in faults for fault in kind[:most]]
        rest = f"; and {count - len(listed)} more" if len(listed) < count else ""
        raise ValueError(
            f"this state does not fit the model, so build it with the configuration that the state was made with: {'; '.join(listed)}{rest}"
        )


def check_learner_state(own, state):
    """`check_names` for the state of a learner; the generator's state may change its length."""
    shapes = {name: np.shape(array) for name, array in own.items()}
    if "rng" in state:
        shapes["rng"] = np.shape(state["rng"])
    check_names(shapes, state)


def with_prefix(prefix, state):
    """{"prefix.name": array}"""
    return {f"{prefix}.{name}": array for name, array in state.items()}


def without_prefix(prefix, state):
    """The entries under `prefix.`, by their shorter names."""
    return {
        name[len(prefix) + 1 :]: array
        for name, array in state.items()
        if name.startswith(prefix + ".")
    }


def under(prefixes, names):
    """The `names` that are, or stand under, one of the dotted `prefixes`; all names without a prefix.

    under(["convs"], names) takes convs.0.weight and convs.1.weight. Raises ValueError for a prefix that no name has."""
    known = {
        ".".join(name.split(".")[:depth])
        for name in names
        for depth in range(1, name.count(".") + 2)
    }
    for prefix in prefixes:
        if prefix not in known:
            tops = dict.fromkeys(name.split(".")[0] for name in names)
            raise ValueError(
                f"no parameter is called {prefix!r} or stands under it{suggestion(prefix, sorted(known))}: the names begin with {', '.join(tops)}"
            )
    return [
        name
        for name in names
        if not prefixes or any(f"{name}.".startswith(f"{p}.") for p in prefixes)
    ]


def transfer(source, target, *prefixes):
    """`target` with all that stands under the prefixes ("convs", "layers.0") taken from `source`, and the rest as it is: a new head.

    Raises ValueError without a prefix, for one that `source` does not have, and for arrays that `target` lacks or has in another shape."""
    if not prefixes:
        raise ValueError(
            "name what is to be transferred: transfer(source, target, 'convs', 'layers.0')"
        )
    taken = {name: source[name] for name in under(prefixes, source)}
    # the other direction too: a layer that only the target has would stay untrained unnoticed
    wanted = {name: np.shape(target[name]) for name in under(prefixes, target)}
    check_names(wanted, taken)
    return {name: np.array(taken.get(name, array)) for name, array in target.items()}


# ---------------------------------------------------------------- layouts


def to_torch(array):
    """OHWI -> OIHW for 4-D convolution weights (eq-oihw); all others unchanged."""
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


def from_torch(array):
    """OIHW -> OHWI for 4-D convolution weights (eq-oihw backwards); all others unchanged."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


# ---------------------------------------------------------------- foreign checkpoints


def from_huggingface(model_type, tensors, heads=None):
    """(config, state) of a checkpoint of Hugging Face's transformers: "gpt2" takes the tensors {name: array} of a GPT2LMHeadModel,
    "bert" those of a BertForPreTraining, or for a sequence, tokens or a span.

    GPT-2's matrices (I, O) are turned, its queries, keys and values separated. No tensor tells the number of heads: None means width / 64, as in all
    published models. Raises ValueError that lists missing, unknown and mis-shaped names."""
    prepare, configure, table_of = huggingface.layout_of(model_type)
    huggingface.check_type(model_type, tensors)
    tensors = prepare(tensors)
    config = configure(tensors, heads)
    table = table_of(config)
    check_names({name: shape for name, (shape, _) in table.items()}, tensors)
    return config, huggingface.to_ours(tensors, table)


def to_huggingface(model_type, config, state):
    """{name: array} as transformers names and lays them out: the way back from `from_huggingface`.

    A tied head stands under the name of the embedding alone, as in the published files. Raises ValueError for a model that this type can't
    hold, and as `check_names` does."""
    *_, table_of = huggingface.layout_of(model_type)
    table = table_of(config)
    check_names({name: array.shape for name, array in initial_state(config, 0).items()}, state)
    return huggingface.to_theirs(state, table)


# ---------------------------------------------------------------- batch norm


def fold_norms(config, state, eps=1e-5):
    """w' = w gamma / sqrt(var + eps),  b' = beta - gamma mean / sqrt(var + eps)  (eq-fold-norm): every convolution and the norm behind it in one.

    The state of a ResNetConfig(norm="batch") -> the state of the same network with norm="none". In evaluation mode, where the statistics are
    constants, the two have equal outputs. w (O, K, K, I), all others (O,); `eps` is the norms' own. Raises ValueError where there is no batch
    norm to fold, and for a state of another network."""
    if isinstance(config, ResNetConfig) and config.down == "pool":
        raise ValueError(
            'with down="pool" a pooling stands between convolution and norm, and a negative gamma would turn its maximum into a minimum: fold a network with down="stride"'
        )
    if not isinstance(config, ResNetConfig) or config.norm != "batch":
        raise ValueError(
            f'{config} has no batch norm behind its convolutions: pass a ResNetConfig(norm="batch")'
        )
    check_names({name: array.shape for name, array in initial_state(config, 0).items()}, state)
    folded = {}
    for name, array in state.items():
        if array.ndim == 4:
            conv = name.removesuffix(".weight")
            norm = conv.replace("conv_", "norm_") if "conv_" in conv else f"{conv}_norm"
            gamma, beta, mean, var = (
                state[f"{norm}.{part}"]
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / np.sqrt(var + eps)
            folded[name] = array * scale[:, None, None, None]
            folded[f"{conv}.bias"] = beta - mean * scale
        elif name.startswith("head."):
            folded[name] = array.copy()
    return folded


# ---------------------------------------------------------------- files


def write_atomically(path, write):
    """Call `write(temporary path)`, then rename: at every moment `path` is whole, the old file or the new one.

    Raises OSError in one sentence when the folder can't be written or the disk is full; the old file is kept."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot write {path} ({error.strerror or error}): free some space or choose another folder",
        ) from error
    finally:
        with contextlib.suppress(OSError):  # nothing to remove; the error above says why
            temporary.unlink()


def save(path, state, metadata=None):
    """Write {name: array} and {str: str} as safetensors, atomically."""
    safetensors = need("safetensors.numpy", extra="data")
    content = safetensors.save(
        {name: np.asarray(array, order="C") for name, array in state.items()}, metadata or None
    )
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def load(path):
    """Read {name: array} from a safetensors file; no code in the file can run."""
    with _open(path) as file:
        try:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (TypeError, AttributeError) as error:  # bfloat16 and the 8-bit floats
            raise ValueError(
                f"{path} holds numbers of a type that NumPy lacks ({error}): save it as float32"
            ) from error


def load_metadata(path):
    """Read the {str: str} beside the arrays."""
    with _open(path) as file:
        return file.metadata() or {}


def _open(path):
    safetensors = need("safetensors", extra="data")
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}: check the folder, or train first")
    try:
        return safetensors.safe_open(path, framework="numpy")
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}): delete it and save or download it again"
        ) from error


# ---------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Comparison:
    """How far two states are apart: rows of (name, largest absolute difference, relative difference |a - b| / |b|, Frobenius norms)."""

    rows: tuple[tuple[str, float, float], ...]

    @property
    def worst(self):
        """The row with the largest relative difference; NaN counts as the largest."""
        return max(self.rows, key=lambda row: np.inf if np.isnan(row[2]) else row[2])

    def check(self, tolerance):
        """Raise AssertionError unless every relative difference is at most `tolerance`; else return self."""
        for name, absolute, relative in self.rows:
            if not relative <= tolerance:  # also true for NaN
                raise AssertionError(
                    f"{name} differs: relative {relative:.2e}, largest absolute {absolute:.2e}, tolerance {tolerance:.0e}"
                )
        return self

    def __str__(self):
        width = max(len(name) for name, _, _ in self.rows)
        lines = [f"{'name':<{width}}  largest |a-b|  relative"]
        return "\n".join(
            lines
            + [
                f"{name:<{width}}  {absolute:13.1e}  {relative:8.1e}"
                for name, absolute, relative in self.rows
            ]
        )


def compare(a, b):
    """Compare two states, or two arrays, name by name -> Comparison.

    Raises ValueError when names or shapes differ, or there are none."""
    if not isinstance(a, dict):
        a, b = {"value": a}, {"value": b}
    check_names({name: np.shape(array) for name, array in b.items()}, a)
    if not b:
        raise ValueError("two empty states have nothing to compare: pass the states of two models")
    rows = []
    for name, right in b.items():
        left, right = np.asarray(a[name], np.float64), np.asarray(right, np.float64)
        # equal infinities differ by 0, not NaN
        difference = np.subtract(left, right, out=np.zeros_like(right), where=left != right)
        scale = np.linalg.norm(right[np.isfinite(right)])
        distance = np.linalg.norm(difference)
        relative = 0.0 if distance == 0.0 else float(distance / scale) if scale else float("inf")
        rows.append((name, float(np.abs(difference).max(initial=0.0)), relative))
    return Comparison(tuple(rows))
