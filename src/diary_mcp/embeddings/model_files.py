"""Where a folder that a hub gives out has its model."""

from pathlib import Path

MODEL_FILES = (
    "model.onnx",
    "onnx/model.onnx",
    "model_optimized.onnx",
    "model_quantized.onnx",
    "onnx/model_quantized.onnx",
)


def find_model(folder: Path) -> Path | None:
    """The first of `MODEL_FILES` that is there."""
    return next((path for path in map(folder.joinpath, MODEL_FILES) if path.is_file()), None)
