"""Jobs: what takes longer than a page may, such as a promotion or an import, each in a process of its own.

    kind.py       what a kind of job is: an action (`pipelines.actions`), how it is told to people, and how many of its group
                  may be under way at once
    serving.py, enrolment.py, data.py      the kinds: each tells what came of its action
    kinds.py      all kinds
    job.py        a job on disk: begun, found, ended
    status.py, following.py                what is told of a job, and how one is followed to its end

begin_job(home, promote.asked(model="photos", version="4", why="..."), by="ana", key=KEY)

GLOCAL_HOME/dashboard/jobs/ID/
    job.json        what is to be done, who asked for it, why, when
    alive           locked by its process from its begin to its end
    process.json    the number of its process
    progress.json   its steps, and what it warned of
    result.json     what the action answered
    ended.json      how it ended
    log             what it printed
    files/          files that it was given, until it ends

`python -m pipelines.jobs FOLDER` does one, and goes on when the dashboard ends.
A job whose process is gone without an end was killed.
"""
