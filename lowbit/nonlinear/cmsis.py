"""CMSIS-NN's integer softmax: TFLite's arithmetic in registers that are narrower, and clamp less.

Source: ARM-software/CMSIS-NN, ``Source/SoftmaxFunctions/arm_softmax_s16.c``.
"""

from lowbit.nonlinear.tflite import softmax_int16

SCHEMES = (softmax_int16("cmsis_int16", "CMSIS-NN's arm_softmax_s16, its defect included", None, "source"),)
