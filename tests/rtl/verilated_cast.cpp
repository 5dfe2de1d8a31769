// A Verilated float_encode as the C function that `lowbit check encode --so` takes.
#include <cstddef>
#include <cstdint>

#include "Vfloat_encode.h"

extern "C" void cast(const uint32_t *input, uint8_t *output, size_t count) {
  static VerilatedContext context;
  static Vfloat_encode unit{&context};
  for (size_t index = 0; index < count; ++index) {
    unit.bits = input[index];
    unit.eval();
    output[index] = unit.code;
  }
}
