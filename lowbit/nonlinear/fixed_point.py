"""TOSA's and gemmlowp's logistic and tanh of fixed-point numbers.

Source: TOSA specification 1.0, operator TABLE; gemmlowp, ``fixedpoint/fixedpoint.h``.
"""

from lowbit.nonlinear.scheme import Example, Scheme
from lowbit.nonlinear.widths import Intermediate

OPERATIONS = ("logistic", "tanh")
TOSA_TABLES = {"logistic": "tosa_sigmoid", "tanh": "tosa_tanh"}

SCHEMES = (
    *(
        Scheme(
            operation,
            "tosa",
            "TOSA's TABLE with the specification's 513 entries for this function: int16 codes in, int32 with 22 "
            "fraction bits out",
            lambda call: (Intermediate("result", call.result_bits),),
            home="fixed_point:tosa",
            codes="int16",
            takes_scale=False,
            own_bits=32,
            audited=False,
            evidence="run",
            examples=(Example({}),),
        )
        for operation in OPERATIONS
    ),
    *(
        Scheme(
            operation,
            "gemmlowp",
            "gemmlowp's function of a number of ``bits`` bits (32 or 16), ``integer_bits`` of them before the point "
            "beside the sign",
            lambda call: (Intermediate("result", call.result_bits, note="Q0"),),
            home="fixed_point:gemmlowp",
            options=("integer_bits",),
            codes="int32",
            takes_scale=False,
            own_bits=32,
            bits=(32, 16),
            results_like_codes=True,
            audited=False,
            trials={"integer_bits": range(15)},
            examples=(Example({"integer_bits": 3}, bits=16, codes="int16"), Example({"integer_bits": 4})),
        )
        for operation in OPERATIONS
    ),
)
