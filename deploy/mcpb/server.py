"""What Claude Desktop starts: `diary-mcp serve`, from the bundle's own folder."""  # noqa: INP001  # a script

import sys

from diary_mcp.cli import main

sys.argv[1:] = ["serve"]
main()
