"""What the model's process says first, when the model is loaded; any other line is a reason."""

READY = "ready"
