"""Sizes and costs of convolutional layers: what a layer sees, what it keeps, and what that costs."""


def output_size(size, kernel, stride=1, padding=0, dilation=1):
    """n' = floor((n + 2 p - d (k - 1) - 1) / s) + 1  (eq-output-size).

    The number of places of a window of `kernel` pixels on `size` pixels; the last pixels are left out
    where the stride doesn't divide. Raises ValueError when not one window fits."""
    span = dilation * (kernel - 1) + 1
    if span > size + 2 * padding:
        raise ValueError(
            f"the kernel spans {span} pixels, but the padded image has {size + 2 * padding}: "
            f"use a smaller kernel or dilation, or padding={-(-(span - size) // 2)}"
        )
    return (size + 2 * padding - span) // stride + 1


def receptive_field(layers):
    """r_l = r_(l-1) + d_l (k_l - 1) j_(l-1),  j_l = s_l j_(l-1),  r_0 = j_0 = 1  (eq-receptive-field).

    `layers` are tuples (kernel, stride) or (kernel, stride, dilation), from the input on -> the side of
    the square of pixels that one output can see, and the step in pixels between neighbours."""
    field, jump = 1, 1
    for kernel, stride, *dilation in layers:
        field += (dilation[0] if dilation else 1) * (kernel - 1) * jump
        jump *= stride
    return field, jump


def conv_parameters(inputs, outputs, kernel, groups=1):
    """P = k^2 (I / G) O + O  (eq-conv-parameters): weights and biases, whatever the image's size."""
    return kernel * kernel * (inputs // groups) * outputs + outputs


def conv_flops(height, width, inputs, outputs, kernel, groups=1):
    """F = 2 H' W' k^2 (I / G) O  (eq-conv-flops): the multiplications and additions of one image.

    `height` and `width` are those of the output; the bias is one of the additions."""
    return 2 * height * width * kernel * kernel * (inputs // groups) * outputs
