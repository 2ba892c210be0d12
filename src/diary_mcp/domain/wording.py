"""How counts are told."""


def counted(count: int, one: str, several: str | None = None) -> str:
    """`1 entry`, `2 entries`; what is counted ends with an s where no other plural is given."""
    return f"{count} {one if count == 1 else several or f'{one}s'}"
