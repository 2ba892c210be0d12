"""Which worker runs which tests."""

from xdist.scheduler import LoadGroupScheduling  # pyright: ignore[reportMissingTypeStubs]


class ByFileOrGroup(LoadGroupScheduling):
    """Keeps the tests of an `xdist_group` together, and those of a file that are in none."""

    def _split_scope(self, nodeid: str) -> str:
        group = super()._split_scope(nodeid)
        file, _, _ = nodeid.partition("::")
        return file if group == nodeid else group
