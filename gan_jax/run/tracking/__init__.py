"""Experiment trackers: TensorBoard, trackio, Weights & Biases, MLflow (--track).

A tracker is a module of this folder with a class `Tracker`, as `tracker.Tracker` says;
`trackers` has the table of their names, and feeds each of them in a thread of its own.
"""
