"""The report ollama/ollama#9549 taken apart: every explanation and remedy as an experiment that is really run."""

from __future__ import annotations

from harness.experiments import explanations, remedies
from harness.experiments.base import Conditions, Experiment, Kind, Trial

__all__ = ["EXPERIMENTS", "Conditions", "Experiment", "Kind", "Trial"]

#: All experiments by name: explanations, then remedies.
EXPERIMENTS: dict[str, Experiment] = {one.name: one for one in (*explanations.EXPERIMENTS, *remedies.EXPERIMENTS)}
