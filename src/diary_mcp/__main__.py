"""`python -m diary_mcp` is the command `diary-mcp`."""

from diary_mcp.cli import main

main()
