"""The flags of the directed inputs of integer matrix products."""

PRODUCT = 0x40
ONE_HOT = 0x41
SHAPE = 0x42
K_TAIL = 0x43
PRODUCT_RAIL = 0x44
WIDTH_LADDER = 0x45
SWAMPING = 0x46
RAIL_WALK = 0x47
CANCELLATION = 0x48
ALL_ZERO = 0x49
ZERO_POINT = 0x4A
LONG_RUN = 0x4B
