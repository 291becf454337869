"""The job: settings and search space as a HyperparameterTuningJob in the API's JSON form, and the contract that it carries.

It alone spells the job's fields, and never opens a file, looks at a clock or knows a service.

The same document is written to `job.json`, accepted by `gcloud`, parsed into the real message, and run by the local service.

    fields.py     which setting stands where in the job; both directions are read from this one table
    study.py      the search space as a study
    counts.py     how many trials there are, at a time and failed at most
    containers.py the contract, and the containers and machines of a trial
    identity.py   what makes the job one sweep's own
    spec_overrides.py  what users merge into the job last
    job.py        the whole
"""

from vertex_sweeper.job.containers import LONGEST_CONTRACT, build_contract
from vertex_sweeper.job.counts import count_trials
from vertex_sweeper.job.field_origins import in_our_words, lines_in_our_words, setting_of
from vertex_sweeper.job.identity import identify_anew, output_prefix
from vertex_sweeper.job.job import build_job
from vertex_sweeper.settings import SWEEP_LABEL

__all__ = [
    "LONGEST_CONTRACT",
    "SWEEP_LABEL",
    "build_contract",
    "build_job",
    "count_trials",
    "identify_anew",
    "in_our_words",
    "lines_in_our_words",
    "output_prefix",
    "setting_of",
]
