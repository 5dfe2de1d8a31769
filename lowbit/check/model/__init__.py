"""A kernel library's outputs of a whole model, compared layer by layer; see :mod:`lowbit.check.model.compare`."""
