"""The flags of the directed inputs of integer-only nonlinearities: rows of softmax, and single codes of the others."""

EQUAL_CODES = 0x80
ONE_HOT_ROW = 0x81
MAXIMUM_PLACE = 0x82
MAXIMUM_VALUE = 0x83
ROW_LENGTH = 0x84
ROW_TAIL = 0x85
SUM_OF_POWER = 0x86
EVERY_CODE = 0x87
TABLE_EDGE = 0x88
SEVERAL_ROWS = 0x89
LONG_ROW = 0x8A
SMALL_VARIANCE = 0x8B
TELLS_APART = 0x8C
