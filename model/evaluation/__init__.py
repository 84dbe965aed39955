"""Evaluation: metrics, intervals, the gate's decision, the report."""
