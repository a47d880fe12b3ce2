"""Devices: the CPU, NVIDIA (and AMD) GPUs as cuda, Apple's as mps."""

import torch


def devices():
    """The devices present, best first."""
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return [name for name, available in present.items() if available]


def resolve_device(device="auto"):
    """The name of a device that is present; "auto" picks the best.

    Raises ValueError that names those present."""
    if device == "auto":
        return devices()[0]
    if device not in devices():
        raise ValueError(
            f"device {device!r} is not available to PyTorch here: present are {', '.join(devices())}"
        )
    return device
