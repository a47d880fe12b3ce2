"""Residual networks in NumPy, their backward pass written out."""

from dlcourse.boundary import check_choice, check_model_images
from dlcourse.numpy import convolution as c
from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import BatchNorm, Conv2d, Linear, MaxPool2d
from dlcourse.numpy.module import Module


def identity(x):
    """y = x, in the place of a norm."""
    return x, lambda dy: dy


NORMS = {"batch": BatchNorm, "none": lambda features: identity}


class ResidualBlock(Module):
    """y = relu(s(x) + F(x)),  F = norm_2(conv_2(relu(norm_1(conv_1(x)))))  (eq-residual-block;
    gradient eq-residual-block-vjp; He et al. 2016).

    x (B, H, W, I) -> y (B, H / stride, W / stride, O), rounded up. The skip s is the identity, or, where the
    shape changes, a convolution 1 x 1 with a norm. Without `skip`, y = relu(F(x))."""

    def __init__(self, inputs, outputs, stride=1, skip=True, norm="batch"):
        bias, make_norm = norm == "none", NORMS[check_choice("norm", norm, NORMS)]
        self.conv_1 = Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)
        self.norm_1 = make_norm(outputs)
        self.conv_2 = Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        self.norm_2 = make_norm(outputs)
        self.skip = skip
        self.project = None
        if skip and (stride > 1 or inputs != outputs):
            self.project = Conv2d(inputs, outputs, 1, stride, bias=bias)
            self.project_norm = make_norm(outputs)

    def __call__(self, x):
        z, conv_1_back = self.conv_1(x)
        z, norm_1_back = self.norm_1(z)
        h, relu_1_back = f.relu(z)
        z, conv_2_back = self.conv_2(h)
        z, norm_2_back = self.norm_2(z)
        if self.project:
            s, project_back = self.project(x)
            s, project_norm_back = self.project_norm(s)
            z = z + s
        elif self.skip:
            z = z + x
        y, relu_2_back = f.relu(z)

        def backward(dy):
            dz = relu_2_back(dy)
            dh = conv_2_back(norm_2_back(dz))
            dx = conv_1_back(norm_1_back(relu_1_back(dh)))
            if self.project:
                return dx + project_back(project_norm_back(dz))
            return dx + dz if self.skip else dx  # dz unchanged: the identity's way back

        return y, backward


class PoolBlock(Module):
    """y = relu(norm(pool(conv(x)))): a convolution 3 x 3, then the largest of stride x stride pixels  (eq-max-pool).

    x (B, H, W, I) -> y (B, H / stride, W / stride, O), rounded down. The norm comes after the
    pooling, which leaves it fewer pixels to pass over."""

    def __init__(self, inputs, outputs, stride, norm="batch"):
        self.conv = Conv2d(inputs, outputs, 3, padding=1, bias=norm == "none")
        self.pool = MaxPool2d(stride)
        self.norm = NORMS[check_choice("norm", norm, NORMS)](outputs)

    def __call__(self, x):
        z, conv_back = self.conv(x)
        z, pool_back = self.pool(z)
        z, norm_back = self.norm(z)
        y, relu_back = f.relu(z)

        def backward(dy):
            return conv_back(pool_back(norm_back(relu_back(dy))))

        return y, backward


class ResNet(Module):
    """A convolution 3 x 3, the blocks of config.plan, the mean over all pixels, one Linear layer
    (eq-residual-block, eq-global-avg-pool).

    x (B, H, W, C), the (H, W, C) of config.inputs -> logits (B, O). Training takes the statistics of the
    batch for its norms."""

    def __init__(self, config):
        self.config = config
        self.stem = Conv2d(config.inputs[2], config.stem, 3, padding=1, bias=config.norm == "none")
        self.stem_norm = NORMS[config.norm](config.stem)
        self.blocks = [
            PoolBlock(*shape, config.norm)
            if kind == "pool"
            else ResidualBlock(*shape, config.skip, config.norm)
            for kind, *shape in config.plan
        ]
        self.head = Linear(config.widths[-1], config.outputs)

    def __call__(self, x, rng=None):  # nothing is dropped: rng is there for the learner
        check_model_images(x, self.config.inputs)
        z, stem_back = self.stem(x)
        z, norm_back = self.stem_norm(z)
        h, relu_back = f.relu(z)
        backs = [stem_back, norm_back, relu_back]
        for block in self.blocks:
            h, block_back = block(h)  # (B, H, W, I) -> (B, H', W', O)
            backs.append(block_back)
        means, pool_back = c.global_avg_pool(h)  # (B, H, W, C) -> (B, C)
        logits, head_back = self.head(means)  # (B, O)

        def backward(dlogits):
            dh = pool_back(head_back(dlogits))
            for back in reversed(backs[1:]):
                dh = back(dh)
            return stem_back(dh, self.need_dx)

        return logits, backward
