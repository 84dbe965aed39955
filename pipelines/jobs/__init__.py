"""Jobs: what takes longer than a page may, such as a promotion or an import, each in a process of its own.

    kind.py       what a kind of job is, and how many of its group may be under way at once
    serving.py, enrolment.py, data.py      the kinds: a function each
    kinds.py      all kinds
    job.py        a job on disk: begun, found, ended

begin_job(home, promote.asked(model="photos", version="4"), by="ana", why="...", key=KEY)

GLOCAL_HOME/dashboard/jobs/ID/
    job.json        what is to be done, who asked for it, why, when
    alive           locked by its process from its begin to its end
    process.json    the number of its process
    progress.json   its steps, and what it warned of
    result.json     what it found or made
    ended.json      how it ended
    log             what it printed
    files/          files that it was given, until it ends

`python -m pipelines.jobs FOLDER` does one, and goes on when the dashboard ends.
A job whose process is gone without an end was killed.
"""
