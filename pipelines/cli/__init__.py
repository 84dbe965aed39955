"""The command line: data on standard output, progress on standard error, one line and a hint for every failure.

    app.py       the commands together, and `main`
    run.py, data.py, gallery.py, query.py, serve.py, key.py      the commands
    console.py   what a person sees on standard error
    failures.py  how an error is shown, and which exit code it has

Exit codes: 0 done; 1 failed; 2 what was given cannot be used; 3 not found; 4 somebody else was first; 5 a service does not
answer, try again; 6 the gate refused the model; 130 stopped by Ctrl-C.
"""

from pipelines.cli.app import app, main

__all__ = ["app", "main"]
