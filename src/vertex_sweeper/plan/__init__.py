"""All that can be known of a sweep before it costs: composition, drift, a trial's command, the dry run.

It reads the search space and the settings, and starts and writes nothing.
"""
