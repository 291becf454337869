"""A study's rules: which trial is next, what a measurement means, when the study is over.

It knows neither processes nor the clock nor files, and none of its neighbours `suggest`, `execute` and `records`.
"""
