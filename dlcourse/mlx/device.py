"""Devices: Apple's GPU, or the CPU. MLX computes on the default device of the process."""

import mlx.core as mx


def devices():
    """The devices present, best first."""
    present = {"gpu": mx.is_available(mx.gpu), "cpu": True}
    return [name for name, available in present.items() if available]


def resolve_device(device="auto"):
    """The name of a device that is present; "auto" picks the best.

    Raises ValueError that names those present."""
    if device == "auto":
        return devices()[0]
    if device not in devices():
        raise ValueError(
            f"device {device!r} is not available to MLX here: present are {', '.join(devices())}"
        )
    return device
