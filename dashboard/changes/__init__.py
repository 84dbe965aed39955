"""Changes of what serves, which take seconds: each in a process of its own that outlives the dashboard, one at a time.

GLOCAL_HOME/dashboard/changes/ID/
    change.json     what is to change, who asked for it, why, when
    process.json    its process
    ended.json      how it ended
    log             what it printed

`python -m dashboard.changes FOLDER` makes one. What serves, and the ledger, are changed by the functions that the command line
calls; this folder says how what was asked for on a page goes.
"""
