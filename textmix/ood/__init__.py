"""Out of distribution, and selective prediction: what a confidence is good for.

Every score is higher for examples that are more like the training data.
"""

from textmix.ood.detection import Detection, aupr_in, aupr_out, auroc, detection, fpr95, placements
from textmix.ood.scores import SCORES, energy, entropy, margin, msp
from textmix.ood.selective import (
    RiskCoverage,
    Threshold,
    accuracy_at_coverage,
    aurc,
    coverage_at_risk,
    excess_aurc,
    risk_coverage,
    threshold_for_accuracy,
)

__all__ = [
    "SCORES",
    "Detection",
    "RiskCoverage",
    "Threshold",
    "accuracy_at_coverage",
    "aupr_in",
    "aupr_out",
    "aurc",
    "auroc",
    "coverage_at_risk",
    "detection",
    "energy",
    "entropy",
    "excess_aurc",
    "fpr95",
    "margin",
    "msp",
    "placements",
    "risk_coverage",
    "threshold_for_accuracy",
]
