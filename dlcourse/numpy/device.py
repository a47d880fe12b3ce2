"""Devices: NumPy has one."""


def devices():
    """The devices present, best first."""
    return ["cpu"]


def resolve_device(device="auto"):
    """The name of a device that is present; "auto" picks the best.

    Raises ValueError that names those present."""
    if device in ("auto", "cpu"):
        return "cpu"
    raise ValueError(
        f"device {device!r} is not available to NumPy: it computes on the CPU, so pass cpu or auto, or take another backend"
    )
