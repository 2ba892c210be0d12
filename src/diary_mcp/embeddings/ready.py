"""What the model's process and the server both know, without what either imports."""

READY = "ready"
"""What the process says first, when the model is loaded; any other line is a reason."""
