"""A job's record on disk, whose process has it, and the service for another process that reads it.

It knows `study`, and of `execute` the reaper alone: a reaper holds the record's lock until the last process is gone.
"""
