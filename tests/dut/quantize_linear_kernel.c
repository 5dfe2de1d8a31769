/* Kernels that quantise by a scale and a zero point, right or with one bug: -DBUG=NAME. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { RIGHT, NO_ZERO_POINT, MINUS_ZERO_POINT, HALF_ADDED, HALF_FLOOR, WRAPS, CLAMPED_FIRST, MULTIPLIES, NARROW,
       TIES_AWAY, TRUNCATES, RECIPROCAL, BEFORE_ROUNDING, NAN_LOWEST, ONE_CODE_WRONG };
#ifndef BUG
#define BUG RIGHT
#endif
#define IS(bug) (BUG == (bug))

void quantize(const float *values, uint8_t *out, size_t n, float scale, int32_t zero_point) {
  size_t i;
  for (i = 0; i < n; i++) {
    float q = values[i] / scale, whole;
    double code;
    if (IS(RECIPROCAL)) q = values[i] * (1 / scale);
    if (IS(MULTIPLIES)) q = values[i] / (1 / scale);
    if (isnan(q)) {
      int place = zero_point < 0 ? 0 : zero_point;
      if (IS(NAN_LOWEST) || IS(NO_ZERO_POINT) || IS(MINUS_ZERO_POINT) || IS(BEFORE_ROUNDING)) place = 0;
      if (IS(NARROW) && place < 1) place = 1;
      out[i] = (uint8_t)place;
      continue;
    }
    if (IS(BEFORE_ROUNDING)) q += (float)zero_point;
    whole = rintf(q);
    if (IS(HALF_ADDED)) whole = truncf(q + 0.5f);
    if (IS(HALF_FLOOR)) whole = floorf(q + 0.5f);
    if (IS(TIES_AWAY)) whole = roundf(q);
    if (IS(TRUNCATES)) whole = truncf(q);
    code = whole;
    if (IS(CLAMPED_FIRST)) code = code < 0 ? 0 : code > 255 ? 255 : code;
    if (IS(MINUS_ZERO_POINT)) code -= zero_point;
    else if (!IS(NO_ZERO_POINT) && !IS(BEFORE_ROUNDING)) code += zero_point;
    if (IS(WRAPS)) {
      out[i] = (uint8_t)(int64_t)(code > 1e12 ? 1099511627776.0 + zero_point : code < -1e12 ? zero_point - 1099511627776.0 : code);
      continue;
    }
    if (code < (IS(NARROW) ? 1 : 0)) code = IS(NARROW) ? 1 : 0;
    if (code > 255) code = 255;
    if (IS(ONE_CODE_WRONG) && code == 77) code = 76;
    out[i] = (uint8_t)code;
  }
}
