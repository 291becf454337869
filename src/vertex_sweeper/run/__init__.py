"""From a job to its end: submit, watch, interrupt, follow, attach. The only room that waits."""
