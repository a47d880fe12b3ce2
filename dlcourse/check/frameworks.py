"""The exercises of the chapter *Frameworks and devices*, each with the wrong answers that it recognises."""

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, Diagnosis, exercise

# ---------------------------------------------------------------- round_to_bfloat16

FAR = 2.0**100  # float16 ends long before


def _numbers(rng):
    """Numbers of all sizes that float32 holds exactly."""
    return (_single(rng.normal(size=12) * 10.0 ** rng.integers(-2, 3, size=12)),)


def _single(x):
    return np.float32(x).astype(float)


def _bits(x):
    return np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)


def _number(bits, dtype):
    return (bits & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(dtype)


def _up(x):
    """The bits to be cut off, the half already added."""
    bits = _bits(x)
    return bits + 0x7FFF + (bits >> 16 & 1)


def _round_by(x, spacing):
    """x in steps of `spacing` times its power of two, ties to even."""
    m, e = np.frexp(x)
    return np.ldexp(np.round(m / spacing) * spacing, e)


def _half(x):
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(float)


@exercise(
    "y",
    Case("values", _numbers),
    Case("ties", lambda rng: (np.array([257.0, 259.0, 261.0, -263.0]),), show=True),
    Case("above and below a tie", lambda rng: (1 + (1 + np.array([-1.0, 1.0]) / 256) / 256,)),
    Case("the next power of two", lambda rng: (_single([511.0, 63.9, -7.99]),), show=True),
    Case("range of float32", lambda rng: (np.array([FAR, -FAR, 1 / FAR]),)),
    Case("what bfloat16 holds", lambda rng: (np.array([0.0, 1.0, -2.5, 0.0078125, 192.0]),)),
    Case("infinity", lambda rng: (np.array([np.inf, -np.inf]),), show=True, quiet=True),
    Case("two axes", lambda rng: (_single(rng.normal(size=(3, 4))),)),
)
def round_to_bfloat16(x):
    """round_to_bfloat16(x) -> y: each entry of x rounded to the nearest number with 7 stored digits, ties to even (eq-bfloat16-round).

    x holds numbers of float32; y has the shape and the dtype of x, and its entries are numbers of bfloat16."""
    return _number(_up(x), x.dtype)


round_to_bfloat16.diagnoses += [
    Diagnosis(
        "the sixteen bits are cut off: that rounds towards zero. Add a half first, 0x7FFF and the last bit that stays.",
        (lambda x: _number(_bits(x), x.dtype),),
    ),
    Diagnosis(
        "ties go up, away from zero. To the even one of two neighbours they go when 0x7FFF is added and then the last bit that stays.",
        (lambda x: _number(_bits(x) + 0x8000, x.dtype),),
    ),
    Diagnosis(
        "ties go down. The last bit that stays, (bits >> 16) & 1, must be added too.",
        (lambda x: _number(_bits(x) + 0x7FFF, x.dtype),),
    ),
    Diagnosis(
        "this is float16: ten digits, and infinite above 65504. bfloat16 has seven digits and the range of float32.",
        (_half,),
    ),
    Diagnosis(
        "one digit too many is kept. Seven are stored, so the numbers between 1 and 2 lie 1/128 apart.",
        (lambda x: _round_by(x, 2.0**-9),),
    ),
    Diagnosis(
        "one digit too few is kept. Seven are stored, so the numbers between 1 and 2 lie 1/128 apart.",
        (lambda x: _round_by(x, 2.0**-7),),
    ),
    Diagnosis(
        "everything is rounded in steps of 1/128. The step belongs to the power of two: it is 1/128 between 1 and 2, and twice that between 2 and 4.",
        (lambda x: np.round(x * 128) / 128,),
    ),
    Diagnosis("nothing is rounded.", (lambda x: x.copy(),)),
    Diagnosis(
        "these are the bits as a whole number, not the number that they stand for: .view(np.float32) reads them, .astype counts them.",
        (
            lambda x: (_up(x) >> 16).astype(x.dtype),
            lambda x: (_up(x) >> 16 << 16).astype(x.dtype),
        ),
    ),
    Diagnosis(
        "the sixteen bits that stay are not shifted back: << 16, then .view(np.float32).",
        (lambda x: (_up(x) >> 16).astype(np.uint32).view(np.float32).astype(x.dtype),),
    ),
    Diagnosis(
        "the half is added, but the lower sixteen bits are still there: set them to zero, & 0xFFFF0000.",
        (lambda x: _up(x).astype(np.uint32).view(np.float32).astype(x.dtype),),
    ),
]


# ---------------------------------------------------------------- to_oihw


def _kernel(*shape):
    return lambda rng: (rng.normal(size=shape),)


@exercise(
    "moved",
    Case("shape", _kernel(2, 3, 4, 5), shapes),
    Case("values", _kernel(2, 3, 4, 5)),
    Case("all axes equal", _kernel(3, 3, 3, 3)),
    Case("one pixel, one channel", lambda rng: (np.array([[[[2.0]]], [[[5.0]]]]),), show=True),
)
def to_oihw(weight):
    """to_oihw(weight) -> moved: the weight of a convolution in the layout of PyTorch, moved[o, i, h, w] = weight[o, h, w, i] (eq-oihw).

    weight (O, H, W, I), moved (O, I, H, W); no entry changes its value."""
    return np.ascontiguousarray(weight.transpose(0, 3, 1, 2))


to_oihw.diagnoses += [
    Diagnosis(
        "the shape is changed and the entries stay in their order. reshape reads them off again; the axes must be moved, with transpose.",
        (lambda w: w.reshape(w.shape[0], w.shape[3], w.shape[1], w.shape[2]),),
    ),
    Diagnosis(
        "height and width are exchanged: every kernel is mirrored along its diagonal. Move the last axis to the second place and keep the order of the others.",
        (lambda w: w.transpose(0, 3, 2, 1), lambda w: np.swapaxes(w, 1, 3)),
    ),
    Diagnosis(
        "this is the way back, from OIHW to OHWI.",
        (lambda w: w.transpose(0, 2, 3, 1),),
    ),
    Diagnosis(
        "inputs stand before outputs. PyTorch's order is (O, I, H, W).",
        (lambda w: w.transpose(3, 0, 1, 2),),
    ),
    Diagnosis("all axes are reversed. Only the last one moves.", (lambda w: w.T,)),
    Diagnosis("nothing is moved.", (lambda w: w.copy(),)),
    Diagnosis(
        "this is the order of TensorFlow, (H, W, I, O).",
        (lambda w: w.transpose(1, 2, 3, 0),),
    ),
]


# ---------------------------------------------------------------- next_scale


def _gradient(*values):
    return np.array(values, float)


FINE, BAD, NOT = _gradient(0.5, -3.0), _gradient(0.5, -np.inf), _gradient(np.nan, 1.0)


@exercise(
    ("scale", "good"),
    Case("a good step", lambda rng: (256.0, 4, FINE.copy(), 10), show=True),
    Case("the last of a row", lambda rng: (256.0, 9, FINE.copy(), 10), show=True),
    Case("an overflow", lambda rng: (256.0, 4, BAD.copy(), 10), show=True),
    Case("not a number", lambda rng: (512.0, 3, NOT.copy(), 10), show=True),
    Case("an overflow at the end of a row", lambda rng: (256.0, 9, BAD.copy(), 10), show=True),
    Case("rows of one", lambda rng: (8.0, 0, FINE.copy(), 1), show=True),
    Case("a matrix", lambda rng: (64.0, 2, rng.normal(size=(3, 2)), 3)),
    Case("an overflow in a matrix", lambda rng: (64.0, 1, np.array([[1.0, np.inf]] * 2), 3)),
)
def next_scale(scale, good, gradient, interval):
    """next_scale(scale, good, gradient, interval) -> (scale, good): the scale of the loss for the next step (eq-dynamic-scale).

    `good` steps in a row were finite, and `gradient` is that of the scaled loss now, of any shape. An entry that is infinite or not a
    number halves the scale and ends the row; `interval` finite steps in a row double it, and a new row begins."""
    if not np.isfinite(gradient).all():
        return scale / 2, 0
    if good + 1 == interval:
        return scale * 2, 0
    return scale, good + 1


def _with_rule(finite=None, after_bad=(0.5, 0), grow=2.0, row=0, early=0, keep=1):
    finite = finite or (lambda g: np.isfinite(g).all())

    def next_scale(scale, good, gradient, interval):
        if not finite(gradient):
            factor, count = after_bad
            return scale * factor, good if count is None else count
        if good + 1 == interval + early:
            return scale * grow, good + 1 if row is None else row
        return scale, good + keep

    return next_scale


def _row_first(scale, good, gradient, interval):
    if good + 1 == interval:
        return scale * 2, 0
    return next_scale.reference(scale, good, gradient, interval)


def _exchanged(scale, good, gradient, interval):
    return next_scale.reference(scale, good, gradient, interval)[::-1]


next_scale.diagnoses += [
    Diagnosis(
        "a NaN passes for a finite gradient. np.isinf does not see it: ask np.isfinite.",
        (_with_rule(lambda g: not np.isinf(g).any()),),
    ),
    Diagnosis(
        "an infinite entry passes for a finite gradient. np.isnan does not see it: ask np.isfinite.",
        (_with_rule(lambda g: not np.isnan(g).any()),),
    ),
    Diagnosis(
        "one finite entry is enough here. All must be finite: np.isfinite(gradient).all().",
        (_with_rule(lambda g: np.isfinite(g).any()),),
    ),
    Diagnosis(
        "the row of good steps goes on over an overflow. It begins anew, at 0.",
        (_with_rule(after_bad=(0.5, None)),),
    ),
    Diagnosis(
        "the scale grows at an overflow and falls behind a good row. Too large a scale overflows, so it is halved then.",
        (_with_rule(after_bad=(2.0, 0), grow=0.5),),
    ),
    Diagnosis(
        "the count goes on when the scale is doubled, so it is doubled once and never again. A new row begins at 0.",
        (_with_rule(row=None),),
    ),
    Diagnosis(
        "the scale is doubled one step late: this step counts, good + 1 == interval.",
        (_with_rule(early=1),),
    ),
    Diagnosis("good steps are not counted.", (_with_rule(keep=0),)),
    Diagnosis(
        "an overflow leaves the scale as it is. The next step would overflow too.",
        (_with_rule(after_bad=(1.0, 0)),),
    ),
    Diagnosis(
        "the row is asked before the gradient: an overflow at its end doubles the scale. The overflow comes first.",
        (_row_first,),
    ),
    Diagnosis(
        "the step that overflowed counts as a good one. The new row begins at 0.",
        (_with_rule(after_bad=(0.5, 1)),),
    ),
    Diagnosis(
        "the two results are exchanged: first the scale, then the number of good steps.",
        (_exchanged,),
    ),
]


# ---------------------------------------------------------------- seconds_per_call


class _Device:
    """A processor with a clock of its own: `run` takes `launch` seconds, and the work of `work` seconds is done before it returns
    or, when the device is a `queue`, behind the others that wait. The first call needs `first` seconds more."""

    def __init__(self, work, launch, first, queue):
        self.work, self.launch, self.first, self.queue = work, launch, first, queue
        self.now, self.free = 100.0, 100.0

    def run(self):
        self.now += self.launch
        self.free = max(self.now, self.free) + self.work + self.first
        self.first = 0.0
        if not self.queue:
            self.now = self.free

    def wait(self):
        self.now = max(self.now, self.free)

    def clock(self):
        return self.now


def _machine(calls, work=0.5, launch=0.0625, first=0.0, queue=True):
    def make(rng):
        device = _Device(work, launch, first, queue)
        return device.run, device.wait, device.clock, calls

    # a queue fills while the first call works; without one every call takes its launch too
    each = work + launch / calls if queue else work + launch
    return make, lambda run, wait, clock, calls: each


def _timing(name, calls, **machine):
    make, right = _machine(calls, **machine)
    return Case(name, make, right=right)


@exercise(
    "seconds",
    _timing("works at once", 4, queue=False),
    _timing("works at once, slow first call", 4, queue=False, first=3.0),
    _timing("works behind a queue", 8),
    _timing("queue, slow first call", 8, first=3.0),
    _timing("one call", 1, first=2.0),
)
def seconds_per_call(run, wait, clock, calls):
    """seconds_per_call(run, wait, clock, calls) -> seconds: the mean time that a call of `run` takes, over `calls` calls.

    `run()` may only put its work into the queue of a device, `wait()` returns when all work is done, `clock()` tells the time in seconds.
    One call that is not timed goes before; the device is idle when the clock starts, and `wait` is called once behind all calls."""
    run()
    wait()
    start = clock()
    for _ in range(calls):
        run()
    wait()
    return (clock() - start) / calls


def _timer(
    warm=True, idle=True, wait_each=False, wait_end=True, early=False, per=lambda calls: calls
):
    def seconds_per_call(run, wait, clock, calls):
        start = clock()
        if warm:
            run()
        if idle:
            wait()
        if not early:
            start = clock()
        for _ in range(calls):
            run()
            if wait_each:
                wait()
        if wait_end:
            wait()
        return (clock() - start) / per(calls)

    return seconds_per_call


seconds_per_call.diagnoses += [
    Diagnosis(
        "the clock stops when the calls are in the queue, not when they are done. wait() belongs before the last clock().",
        (_timer(wait_end=False),),
    ),
    Diagnosis(
        "the first call is timed, with all that happens only once. Call run() and wait() before the clock starts.",
        (_timer(warm=False, idle=False), _timer(warm=False)),
    ),
    Diagnosis(
        "the first call is still at work when the clock starts. wait() belongs between the two.",
        (_timer(idle=False),),
    ),
    Diagnosis(
        "wait() stands inside the loop: the queue never fills, and each call is charged for its launch. Call it once, behind the loop.",
        (_timer(wait_each=True),),
    ),
    Diagnosis(
        "this is the time of all calls. Divide by their number.",
        (_timer(per=lambda calls: 1),),
    ),
    Diagnosis(
        "the clock starts before the call that should not be timed.",
        (_timer(early=True),),
    ),
    Diagnosis(
        "the call that is not timed is counted: divide by calls, not by calls + 1.",
        (_timer(per=lambda calls: calls + 1), _timer(early=True, per=lambda calls: calls + 1)),
    ),
    Diagnosis(
        "the time is negative: it is the end less the start.",
        (_timer(per=lambda calls: -calls),),
    ),
]
