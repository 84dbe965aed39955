"""Errands: what takes longer than a page may, such as an enrolment, each in a process of its own that outlives the dashboard.

GLOCAL_HOME/dashboard/errands/ID/
    errand.json     what is to be done, who asked for it, when
    process.json    its process
    events.jsonl    what it reported, a line each
    ended.json      how it ended
    log             what it printed
    images/         images that it was given, until it ends

One is at work at a time; the others wait. `python -m pipelines.errands FOLDER` does one.
"""
