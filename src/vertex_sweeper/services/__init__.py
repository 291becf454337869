"""Who runs a job: the protocol of services, their addresses, and the services themselves.

It knows a job as plain JSON, and never a search space, a plan or a terminal.
"""
