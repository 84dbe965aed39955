"""Evaluation: metrics, intervals, thresholds, the gate's decision, the report."""
