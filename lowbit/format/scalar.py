"""The kinds of scalar formats, and the protocol that they share."""

from lowbit.format.common import MAX_BITS, Format, Source
from lowbit.format.fixed import FixedFormat
from lowbit.format.floating import FloatFormat
from lowbit.format.protocol import Scalar
from lowbit.format.table import TableFormat

__all__ = ["MAX_BITS", "FixedFormat", "FloatFormat", "Format", "Scalar", "Source", "TableFormat"]
