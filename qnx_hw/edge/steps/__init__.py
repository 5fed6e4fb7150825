"""Local processing before encryption: named steps on records, then on batches of them."""

from qnx_hw.edge.steps.interface import ByteStep, Record, RecordStep
from qnx_hw.edge.steps.pipeline import Pipeline, Unpacking, make_step

__all__ = ["ByteStep", "Pipeline", "Record", "RecordStep", "Unpacking", "make_step"]
