"""`python -m tools portable`: run the notebooks again as on an older x86 processor with one thread; the stored outputs must hold.

NumPy, OpenBLAS and PyTorch choose their kernels by processor, and the last digits of their results differ between kernels."""

import platform
import warnings

from tools import environment, test

EXTRAS = ("book", "notebook", "test", "torch", "mlx")


def main(arguments):
    if arguments:
        print(f"portable takes no arguments, and got {arguments[0]!r}")
        return 2
    absent = {name: sentence for name, sentence in test.missing().items() if name in environment.OPTIONAL}
    for sentence in absent.values():
        print(sentence)
    if absent and environment.strict():
        return 1
    step = test.nbval("portable", test.notebook_variables() | test.threads(1) | older_processor(), absent)
    failed = test.run([step])
    files = test.read_cases(test.REPORTS / "portable.xml").files
    total = len(test.notebooks())
    print(f"{sum(files.values())} of {total} chapters give the same outputs as on an older processor with one thread")
    return int(bool(failed) or (not absent and sum(files.values()) < total))


def older_processor():
    """The variables that make NumPy, OpenBLAS and PyTorch take the kernels for AVX2, as if AVX-512 were not there."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return {}
    return {
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "NPY_DISABLE_CPU_FEATURES": " ".join(numpy_groups()),
    }


def numpy_groups():
    """The groups above AVX2 that this NumPy would use here; it warns about every other name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    return [name for name in __cpu_dispatch__ if (name.startswith("AVX512") or name == "X86_V4") and __cpu_features__.get(name)]
