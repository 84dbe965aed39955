"""Thresholds for releases that offer every operation."""

from model.schemas.calibration import Calibration, IdentifyThreshold, VerifyThreshold

THRESHOLD = 0.999
CALIBRATION = Calibration(
    verify={"0.01": VerifyThreshold(threshold=THRESHOLD, true_accept_rate=0.5, rate_interval=(0.0, 0.02))},
    identify={"0.01": IdentifyThreshold(threshold=THRESHOLD)},
)
