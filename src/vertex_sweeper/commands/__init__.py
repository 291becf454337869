"""What `vertex-sweeper` can do: a module for each command, with `add_arguments` and `run`."""
