"""How it is said: lines, the live table, the next commands.

It reads results and writes to a stream, and decides nothing.
"""
