import pytest

from diary_mcp.app import Foundation
from support.page import PageSite


@pytest.fixture
def pages(foundation: Foundation) -> PageSite:
    """The page for people, on a fresh diary."""
    return PageSite(foundation)
