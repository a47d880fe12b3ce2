"""The engine of the exercise checks: cases, diagnoses, and one line of print for each case."""

import inspect
import sys
import textwrap
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dlcourse.check.answer import (
    arrays,
    does_something,
    identical,
    is_array,
    mentioned,
    one_line,
    to_backend,
    to_numpy,
)
from dlcourse.check.compare import CHANGED, agreement, errors, text, values, verdict

# relative to the largest entry; MLX computes in float32
TOLERANCES = {
    "numpy": 1e-9,
    "torch": 1e-9,
    "mlx": 1e-3,
}


@dataclass(frozen=True)
class Case:
    """One line of the print: `make(rng)` gives the arguments, `judge(call)` a sentence when the answer is wrong, else None.

    `right(*arguments)` replaces the reference solution, `parts` limits the judgement to some of several results,
    `show` prints call and result whole (small arrays only), `quiet` also refuses RuntimeWarnings."""

    name: str
    make: Callable
    judge: Callable = values
    right: Callable = None
    parts: tuple = None
    show: bool = False
    quiet: bool = False
    tolerance: float = 0.0


@dataclass(frozen=True)
class Diagnosis:
    """A likely cause, and the wrong solutions that are recognised by what they return."""

    text: str
    wrong: tuple


@dataclass
class Call:
    """What a function did with the arguments of a case, beside what is right."""

    case: Case
    backend: str
    names: tuple
    right: list
    show: str
    parts: tuple
    tolerance: float
    answer: list = None  # arrays, one for each result
    problem: str = None  # why there is no answer
    empty: bool = False  # nothing was returned, as by a stub
    warned: list = field(default_factory=list)
    changed: list = field(default_factory=list)  # names of the arguments that the function wrote to


@dataclass
class Result:
    """What a check found. A notebook shows nothing of it: the lines are printed."""

    name: str
    lines: list
    passed: bool = False
    attempted: bool = True
    causes: list = field(default_factory=list)

    def __repr__(self):
        return f"<{self.lines[-1]}>"

    def _ipython_display_(self):
        pass


class Exercise:
    """A function to be written: reference solution, cases and diagnoses. Calling it checks the reader's function."""

    def __init__(self, reference, returns, cases):
        self.__doc__, self.name, self.reference = reference.__doc__, reference.__name__, reference
        self.arguments = tuple(inspect.signature(reference).parameters)
        self.returns, self.cases, self.diagnoses = returns, cases, []
        # what the reference and the wrong solutions return, by case: computed once
        self._right, self._wrong = {}, {}

    def diagnose(self, text, *wrong):
        """A likely cause, told when the reader's function returns what one of the wrong solutions returns."""
        self.diagnoses.append(Diagnosis(text, wrong))

    def __repr__(self):
        return f"<exercise {self.name}({', '.join(self.arguments)}) -> {', '.join(self.returns)}>"

    def __call__(self, fn, backend=None):
        """Print one line a case for the reader's function `fn`, and the likely cause of a known wrong answer.

        `backend` ("numpy", "torch", "mlx") says which arrays `fn` takes; without it the check finds out. Returns a Result."""
        result = self.examine(fn, backend)
        print("\n".join(result.lines))
        return result

    def examine(self, fn, backend=None):
        """The same without printing."""
        if backend is not None and backend not in TOLERANCES:
            raise ValueError(f"unknown backend {backend!r}: choose one of {', '.join(TOLERANCES)}")
        if (problem := self._signature(fn)) is not None:
            return Result(self.name, [f"{self.name}: signature FAILED: {problem}"])
        backend = backend or self._backend(fn)
        calls = [self.call(fn, case, backend) for case in self.cases]
        if calls[0].empty:
            return Result(self.name, [f"{self.name}: not attempted yet"], attempted=False)

        causes = self._causes(calls)  # {text: number of the case under which it is printed}
        lines, passed, seen = [f"{self.name}: signature ok"], 1, set()
        for k, call in enumerate(calls):
            sentence = verdict(call)
            passed += sentence is None
            outcome = (
                "ok"
                if sentence is None
                else "FAILED: the same"
                if sentence in seen
                else f"FAILED: {sentence}"
            )
            lines.append(f"{self.name}: {call.case.name} {outcome}")
            lines += likely(causes, k)
            seen.add(sentence)
        changed = [name for name in self.arguments if any(name in call.changed for call in calls)]
        passed += not changed
        outcome = f"FAILED: the function writes into {' and '.join(changed)}" if changed else "ok"
        lines.append(f"{self.name}: arguments unchanged {outcome}")
        lines += likely(causes, len(calls))
        count = len(calls) + 2
        suffix = "" if backend == "numpy" else f" ({backend})"
        lines.append(
            f"{self.name}: "
            + (f"all {count} cases ok" if passed == count else f"{passed} of {count} cases ok")
            + suffix
        )
        return Result(self.name, lines, passed == count, True, list(causes))

    def call(self, fn, case, backend="numpy"):
        """Run `fn` on the arguments of `case`, on copies of its own."""
        arguments = case.make(np.random.default_rng(zlib.crc32(self.name.encode())))
        if case not in self._right:
            self._right[case] = arrays((case.right or self.reference)(*arguments), self.returns)
        show = f"{self.name}({', '.join(text(a) for a in arguments)})" if case.show else None
        tolerance = max(case.tolerance, TOLERANCES[backend])
        call = Call(
            case,
            backend,
            self.returns,
            self._right[case],
            show,
            case.parts or self.returns,
            tolerance,
        )
        given = [to_backend(a, backend) for a in arguments]
        before = [np.copy(to_numpy(a)) if is_array(a) else a for a in given]
        value = None
        try:
            with (
                warnings.catch_warnings(record=True) as caught,
                np.errstate(all="warn", under="ignore"),
            ):
                warnings.simplefilter("always")
                value = fn(*given)
        except NotImplementedError:
            call.empty, call.problem = True, "it raises NotImplementedError"
        except Exception as error:  # whatever it is, it becomes one line
            call.empty, call.problem = "ellipsis" in str(error), one_line(error, fn)
        call.warned = sorted(
            {str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)}
        )
        triples = zip(self.arguments, given, before, strict=True)
        call.changed = [
            name
            for name, now, was in triples
            if is_array(now) and not identical(to_numpy(now), was)
        ]
        if call.problem is not None:
            return call
        if value is None and does_something(fn):
            call.problem = "it returns None: is a return missing?"
        elif (
            value is None
            or value is Ellipsis
            or (isinstance(value, tuple) and all(v is None or v is Ellipsis for v in value))
        ):
            call.empty, call.problem = True, "it returns nothing"
        else:
            try:
                call.answer = arrays(value, self.returns)
            except ValueError as error:
                call.problem = str(error)
        return call

    def _signature(self, fn):
        if not callable(fn):
            return (
                f"pass the function itself, check.{self.name}({self.name}), not {type(fn).__name__}"
            )
        try:
            signature = inspect.signature(fn)
        except (TypeError, ValueError):  # builtins have none
            return None
        try:
            signature.bind(*self.arguments)
        except TypeError:
            return f"it is called as {self.name}({', '.join(self.arguments)}), but yours is written {self.name}{signature}"
        return None

    def _backend(self, fn):
        """The framework whose module the function mentions; else the one whose arrays it accepts."""
        found = mentioned(fn, set())
        if found is None and self.call(fn, self.cases[0]).problem is not None:
            loaded = [
                name
                for name, module in (("torch", "torch"), ("mlx", "mlx.core"))
                if module in sys.modules
            ]
            found = next(
                (name for name in loaded if self.call(fn, self.cases[0], name).answer is not None),
                None,
            )
        return found or "numpy"

    def _causes(self, calls):
        """At most two diagnoses, each the one that explains most of the errors that are left and is contradicted least."""
        left = {(k, part) for k, call in enumerate(calls) for part in errors(call)}
        if not left:
            return {}
        table = []  # (diagnosis, {(case, part): is the reader's error the same?})
        for diagnosis in self.diagnoses:
            for wrong in diagnosis.wrong:
                if wrong not in self._wrong:
                    self._wrong[wrong] = [self.call(wrong, case) for case in self.cases]
                pairs = enumerate(zip(calls, self._wrong[wrong], strict=True))
                marks = {
                    (k, part): same for k, pair in pairs for part, same in agreement(*pair).items()
                }
                table.append((diagnosis, marks))
        causes, settled = {}, set()
        while left and len(causes) < 2:
            best, score = None, (0, 0)
            for diagnosis, marks in table:
                explained = {key for key, same in marks.items() if same and key in left}
                contradicted = {
                    key for key, same in marks.items() if not same and key not in settled
                }
                # among equals, the one with the fewest other errors
                merit = len(explained) - len(contradicted), -len(marks.keys() - explained)
                if 2 * len(explained) > len(contradicted) and (best is None or merit > score):
                    best, score = (diagnosis, explained), merit
            if best is None:
                break
            diagnosis, explained = best
            places = [
                len(calls) if part == CHANGED else k
                for k, part in explained
                if part == CHANGED or verdict(calls[k])
            ]
            causes[diagnosis.text] = min(places, default=0)
            left, settled = left - explained, settled | explained
        return causes


def exercise(returns, *cases):
    """Decorator: the reference solution, with the text of the exercise as docstring, becomes an Exercise."""
    names = (returns,) if isinstance(returns, str) else returns
    return lambda reference: Exercise(reference, names, cases)


def likely(causes, place):
    """The lines that are printed under a case."""
    return [
        textwrap.fill(f"  likely cause: {text}", 100, subsequent_indent="    ")
        for text, at in causes.items()
        if at == place
    ]
