"""The report ollama/ollama#9549: every explanation and remedy is an experiment that is really run."""

from __future__ import annotations

from pages.experiments import explanations, remedies
from pages.experiments.experiment import ClaimKind, Conditions, Experiment, Trial

__all__ = ["EXPERIMENTS", "ClaimKind", "Conditions", "Experiment", "Trial"]

#: All experiments by name: explanations, then remedies.
EXPERIMENTS: dict[str, Experiment] = {one.name: one for one in (*explanations.EXPERIMENTS, *remedies.EXPERIMENTS)}
