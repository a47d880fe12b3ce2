"""What is installed, what is missing and how to get it."""

import importlib.metadata
import platform
import time

import numpy as np

import dlcourse
from dlcourse import data
from dlcourse.errors import MissingExtra
from dlcourse.recipes import cpu_count

# distribution -> the extra that brings it
OPTIONAL = {
    "scikit-learn": "data",
    "mlxtend": "data",
    "pooch": "data",
    "tqdm": "data",
    "safetensors": "data",
    "matplotlib": "plot",
    "torch": "torch",
    "mlx": "mlx",
}
NO_MLX = "mlx is missing: there is none for Windows, and nothing else of the course needs it"


def examine(gemm_size=1024):
    """The report, line by line."""
    lines = [
        f"dlcourse {dlcourse.__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cpu_count()} CPUs",
        "",
    ]
    lines += ["packages", f"  numpy {np.__version__}"]
    lines += [f"  {_package(name, extra)}" for name, extra in OPTIONAL.items()]
    lines += ["", "backends and their devices, best first"]
    lines += [f"  {name}: {_devices(name)}" for name in dlcourse.BACKENDS]
    lines += ["", "data sets"]
    lines += [f"  {name}: {_where(name)}" for name in data.names()]
    lines += [
        "",
        "NumPy's matrix product",
        f"  {blas()}",
        f"  {gemm_speed(gemm_size):.0f} GFLOP/s in float32, {gemm_size} x {gemm_size}",
    ]
    return lines


def blas():
    """The linear algebra library that NumPy was built with."""
    found = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown library')} {found.get('version', '')}".strip()


def gemm_speed(size, repeats=5):
    """GFLOP/s of the best of some products of two square float32 matrices: 2 size^3 operations each."""
    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    a @ a
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2e-9 * size**3 / best


def _package(name, extra):
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return (
            NO_MLX if _has_no_mlx(name) else f"{name} is missing: pip install 'dlcourse[{extra}]'"
        )


def _devices(name):
    try:
        return ", ".join(dlcourse.backend(name).devices())
    except MissingExtra as error:
        return NO_MLX if _has_no_mlx(name) else str(error)


def _has_no_mlx(name):
    return name == "mlx" and platform.system() == "Windows"


def _where(name):
    try:
        return data.where(name)
    except MissingExtra as error:
        return str(error)
