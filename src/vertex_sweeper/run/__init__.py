"""From a job to its end: submit, watch, interrupt, follow, attach.

It alone waits and hears signals. It knows services by their protocol, and never a search space or a plan.
"""
