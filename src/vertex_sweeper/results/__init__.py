"""What came of a job, and what is left behind: outcome, tables, best config, sweep directory.

It knows files, and never a network or a terminal.
"""
