"""Where the model lies in a sentence transformer's folder, and what it is called."""

import hashlib
from pathlib import Path

MODEL_FILES = (
    "model.onnx",
    "onnx/model.onnx",
    "model_optimized.onnx",
    "model_quantized.onnx",
    "onnx/model_quantized.onnx",
)
_HASHED_BYTES = 1 << 20


def find_model(folder: Path) -> Path | None:
    """The first of `MODEL_FILES` that is there."""
    return next((path for path in map(folder.joinpath, MODEL_FILES) if path.is_file()), None)


def folder_name(folder: Path) -> str:
    """Names the model by its folder and by what is in it, the same on every machine.

    A model may be large, and its name is asked for at the start: its size, its beginning and its
    end stand for all of it.
    """
    digest = hashlib.sha256()
    path = find_model(folder)
    if path is not None:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            digest.update(str(size).encode())
            for start in (0, max(0, size - _HASHED_BYTES)):
                file.seek(start)
                digest.update(file.read(_HASHED_BYTES))
    return f"onnx:{folder.resolve().name}:{digest.hexdigest()[:12]}"
