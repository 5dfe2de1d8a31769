"""From float models to integer models; see :mod:`lowbit.models.conversion.convert`."""
