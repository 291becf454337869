"""The program `vertex-sweeper`: a module for each command, with `add_arguments` and `run`.

It hands what a user has typed to other rooms, and does nothing itself that a sweep does too.
"""
