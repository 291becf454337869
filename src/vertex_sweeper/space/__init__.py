"""What is tuned: overrides as they are written, their keys, groups and conditions, up to a SearchSpace.

It knows Hydra's parser and config sources, and never a setting, a job or a service.
"""
