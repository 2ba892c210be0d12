"""Where the files that ship beside the code are: migrations, prompts, permission rules."""

from pathlib import Path
from typing import Literal

ResourceKind = Literal["migrations", "prompts", "opl"]

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]
_CHECKOUT_NAMES: dict[ResourceKind, str] = {
    "migrations": "migrations",
    "prompts": "prompts",
    "opl": "permissions",
}


def resource_path(kind: ResourceKind) -> Path:
    """The folder with the files of this kind.

    A wheel carries them inside the package; an editable installation uses the checkout's.
    """
    shipped = _PACKAGE / kind
    return shipped if shipped.is_dir() else _CHECKOUT / _CHECKOUT_NAMES[kind]
