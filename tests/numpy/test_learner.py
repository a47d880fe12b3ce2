"""What only the NumPy learner has: its generator, and gradients that start from zero at every step."""

import numpy as np

from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, SGD, Learner
from dlcourse.numpy import learner as module
from tests.numpy import learner_cases, models
from tests.numpy.models import slow_mlp


def learner_of(dropout=0.0, seed=0, dtype=np.float64):
    config = MLPConfig(4, (8,), 3, "tanh", dropout)
    model = MLP(config)
    model.load_state(initial_state(config, 0, dtype))
    return Learner(model, SGD(model), seed=seed)


def test_whole_batches_by_hand():
    learner_cases.check_learner(module, models.raises)


def test_step_returns_the_loss_before_the_update(rng):
    learner = learner_of()
    batch = rng.normal(size=(5, 4)), rng.integers(0, 3, size=5)
    z = slow_mlp(learner.model.state(), learner.model.config, batch[0])
    expected = np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(z, batch[1], strict=True)])
    before = learner.model.state()
    gradients = learner.gradients(batch)[1]
    np.testing.assert_allclose(learner.step(batch, 0.1), expected, rtol=1e-12)
    for name, array in learner.model.state().items():
        np.testing.assert_allclose(array, before[name] - 0.1 * gradients[name], rtol=1e-12)
