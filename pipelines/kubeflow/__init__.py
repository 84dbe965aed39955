"""Kubeflow Pipelines, spoken to by its own client: a file for each thing that is asked of it. The runner uses them.

connection.py   the client, its token, its time limits, and its errors in our words
versions.py     the compiled file as a version of a pipeline
runs.py         submitting, looking at and ending a run
recurring.py    runs that Kubeflow's own clock starts
"""
