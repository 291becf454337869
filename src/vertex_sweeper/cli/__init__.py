"""The program `vertex-sweeper`: a module for each command, with `add_arguments` and `run`."""
