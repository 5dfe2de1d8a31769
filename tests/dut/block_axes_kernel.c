/* Kernels of formats beside MXFP4, right under the policy that the test names or with one bug: -DBUG=NAME. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum {
  RIGHT, FOUR_OVER_SIX_SQUARED, FOUR_OVER_SIX_ABSOLUTE, TILE_ROW, TILE_COLUMNS_FIRST, TILE_BEFORE, MINMAX,
  RANGE_RECIPROCAL, ZERO_POINT_QUOTIENT, BEFORE_ROUNDING, FUSED, QUOTIENT_RECIPROCAL, TIES_AWAY, NO_ZERO_POINT,
  MINUS_ZERO_POINT, HALF_RANGE, SIGNS_SWAPPED, ONE_MAXIMUM, TIES_DOWN, POSITIVE_FOR_BOTH,
  BINS, EIGHT_BITS_FIRST, SUM
};
#ifndef BUG
#define BUG RIGHT
#endif
#define IS(bug) (BUG == (bug))
#define SEARCHES (IS(FOUR_OVER_SIX_SQUARED) || IS(FOUR_OVER_SIX_ABSOLUTE))

/* The result of a step: to bfloat16 with -DNARROW, not rounded with -DEXACT, else to binary32. */
static double step(double x) {
#if defined NARROW
  int e;
  if (!isfinite(x) || x == 0) return x;
  frexp(x, &e);
  if (e < -125) e = -125;
  x = ldexp(rint(ldexp(x, 8 - e)), e - 8);
  return fabs(x) < 0x1p128 ? x : copysign(INFINITY, x);
#elif defined EXACT
  return x;
#else
  return (float)x;
#endif
}

static const double E2M1[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

static uint8_t element(double q) {
  int code = 0;
  double size = fabs(q), middle;
  if (isnan(q)) return 7;
  while (code < 7) {
    middle = (E2M1[code] + E2M1[code + 1]) / 2;
    if (size < middle) break;
    if (size == middle && (IS(TIES_AWAY) ? 0 : IS(TIES_DOWN) ? !signbit(q) : !(code & 1))) break;
    code++;
  }
  return (uint8_t)(code | (signbit(q) ? 8 : 0));
}

/* ---- NVFP4, in blocks of 1 x 16 or 16 x 16 ---- */

static double e4m3(int code) { return code >> 3 ? ldexp(8 + (code & 7), (code >> 3) - 10) : ldexp(code & 7, -9); }

static uint8_t encode_e4m3(double x) {
  int code = 0;
  double middle;
  if (isnan(x)) return 0x7f;
  if (!(x < 448)) return 0x7e;
  while (e4m3(code + 1) <= x) code++;
  middle = (e4m3(code) + e4m3(code + 1)) / 2;
  return (uint8_t)(code + (code < 0x7e && (x > middle || (x == middle && (code & 1)))));
}

/* The largest magnitude of some rows and columns; NaN stays. */
static double maximum(const float *values, size_t i, size_t rows, size_t j, size_t columns, size_t stride) {
  double amax = 0;
  size_t row, column;
  for (row = i; row < i + rows; row++)
    for (column = j; column < j + columns; column++) {
      double x = step(fabs(values[row * stride + column]));
      if (isnan(x)) return x;
      if (x > amax) amax = x;
    }
  return amax;
}

static double quotient(double x, double scale, double top) {
  double s = step(scale * top);
  return s == 0 ? 0 * x : step(x / s);
}

/* What Four over Six compares, in binary32. */
static float error(const float *values, double scale, float top, float amax) {
  float total = 0;
  int k;
  for (k = 0; k < 16; k++) {
    uint8_t code = element(quotient(values[k], scale, top));
    float size = (float)E2M1[code & 7], worth, difference;
    worth = (code & 8 ? -size : size) * (float)scale;
    worth = worth * amax / (6 * 256);
    difference = worth - values[k];
    total = total + (IS(FOUR_OVER_SIX_SQUARED) ? difference * difference : fabsf(difference));
  }
  return total;
}

static void two_levels(const float *values, uint8_t *codes, uint8_t *block, float *tensor, size_t rows, size_t columns,
                       size_t down) {
  size_t across = columns / 16, i, j;
  double amax = maximum(values, 0, rows, 0, columns, columns), top = step(amax / (SEARCHES ? 6 * 256 : 6 * 448));
  *tensor = (float)top;
  top = *tensor;
  for (i = 0; i < rows / down; i++)
    for (j = 0; j < across; j++) {
      size_t place = IS(TILE_COLUMNS_FIRST) ? j * (rows / down) + i : i * across + j;
      double own = maximum(values, i * down, IS(TILE_ROW) ? 1 : down, j * 16, 16, columns), ratio;
#ifdef EXACT
      ratio = own / (6 * top);
#else
      ratio = step(step(own / 6) / top);
#endif
      if (own == 0 && top == 0) ratio = 0;
      block[place] = encode_e4m3(ratio);
      if (SEARCHES) {
        const float *first = values + i * columns + j * 16;
        uint8_t larger = encode_e4m3(step(ratio * 1.5)), mine = block[place];
        double scale = mine == 0x7f ? NAN : e4m3(mine), other = larger == 0x7f ? NAN : e4m3(larger);
        if (error(first, other, (float)top, (float)amax) < error(first, scale, (float)top, (float)amax))
          block[place] = larger;
      }
    }
  for (i = 0; i < rows; i++)
    for (j = 0; j < columns; j++) {
      size_t b = j / 16, tile = i / down;
      uint8_t code;
      if (IS(TILE_BEFORE) && b) b--;
      code = block[IS(TILE_COLUMNS_FIRST) ? b * (rows / down) + tile : tile * across + b];
      codes[i * columns + j] = element(quotient(step(values[i * columns + j]), code == 0x7f ? NAN : e4m3(code), top));
    }
}

void nvfp4(const float *values, uint8_t *codes, uint8_t *block, float *tensor, size_t rows, size_t columns) {
  two_levels(values, codes, block, tensor, rows, columns, 1);
}

void nvfp4_16x16(const float *values, uint8_t *codes, uint8_t *block, float *tensor, size_t rows, size_t columns) {
  two_levels(values, codes, block, tensor, rows, columns, 16);
}

/* ---- int8 with a binary32 scale, and a zero point, for 32 values; steps in binary32 ---- */

static double clipped(double x, double low, double high) { return isnan(x) ? 0 : x < low ? low : x > high ? high : x; }

/* As ggml rounds: the sum is rounded to binary32, and cut. */
static double cut(float q) { return isnan(q) ? 0 : clipped(trunc(q + 128.5f), 0, 255) - 128; }

static double whole(double x) { return clipped(IS(TIES_AWAY) ? round(x) : rint(x), -0x1p31, 0x1p31 - 1); }

void asymmetric(const float *values, int8_t *codes, float *block, int8_t *zero_point, size_t rows, size_t columns) {
  size_t blocks = (columns + 31) / 32, i, j, k;
  for (i = 0; i < rows; i++)
    for (j = 0; j < blocks; j++) {
      const float *x = values + i * columns + 32 * j;
      size_t count = columns - 32 * j < 32 ? columns - 32 * j : 32;
      float low = x[0], high = x[0], scale, width, factor, lowest, zero;
      for (k = 1; k < count; k++) {
        low = x[k] < low ? x[k] : low;
        high = x[k] > high ? x[k] : high;
      }
      if (!IS(MINMAX)) low = low < 0 ? low : 0, high = high > 0 ? high : 0;
      width = high - low;
      factor = 255 / width;
      scale = IS(RANGE_RECIPROCAL) ? 1 / factor : width / 255;
      if (width == 0) scale = 1;
      else if (scale == 0) scale = 0x1p-149f;
      lowest = IS(RANGE_RECIPROCAL) ? low * factor : low / scale;
      zero = IS(ZERO_POINT_QUOTIENT) ? -128 - (float)whole(lowest) : (float)whole(-128 - lowest);
      if (isnan(lowest)) zero = IS(ZERO_POINT_QUOTIENT) ? -128 : 0;
      zero = (float)clipped(zero, -128, 127);
      block[i * blocks + j] = scale;
      zero_point[i * blocks + j] = (int8_t)zero;
      if (IS(NO_ZERO_POINT)) zero = 0;
      if (IS(QUOTIENT_RECIPROCAL) || IS(FUSED)) factor = 1 / scale;
      for (k = 0; k < count; k++) {
        float q = IS(QUOTIENT_RECIPROCAL) || IS(RANGE_RECIPROCAL) ? x[k] * factor : x[k] / scale;
        double code = whole(q) + (IS(MINUS_ZERO_POINT) ? -zero : zero);
        if (IS(BEFORE_ROUNDING)) code = whole(q + zero);
        if (IS(FUSED)) code = whole(fmaf(x[k], factor, zero));
        codes[i * columns + 32 * j + k] = (int8_t)clipped(code, -128, 127);
      }
    }
}

void symmetric(const float *values, int8_t *codes, float *block, size_t rows, size_t columns) {
  size_t blocks = (columns + 31) / 32, i, j;
  for (i = 0; i < rows; i++)
    for (j = 0; j < blocks; j++) {
      size_t count = columns - 32 * j < 32 ? columns - 32 * j : 32, at = i * columns + 32 * j, k;
      float amax = (float)maximum(values, i, 1, 32 * j, count, columns);
      float scale = amax == 0 ? 1 : IS(HALF_RANGE) ? amax / 127.5f : amax / 127;
      if (scale == 0) scale = 0x1p-149f;
      block[i * blocks + j] = scale;
      for (k = at; k < at + count; k++) {
        float q = values[k] / scale;
        codes[k] = (int8_t)(IS(SUM) ? cut(q) : clipped(whole(q), -128, 127));
      }
    }
}

/* ---- E2M1 with a binary32 scale of each sign for 32 values; exact, so a block of one sign has the scale 1 there ---- */

void by_sign(const float *values, uint8_t *codes, float *positive, float *negative, size_t rows, size_t columns) {
  size_t blocks = (columns + 31) / 32, i, j, k;
  for (i = 0; i < rows; i++)
    for (j = 0; j < blocks; j++) {
      size_t count = columns - 32 * j < 32 ? columns - 32 * j : 32, at = i * columns + 32 * j, place = i * blocks + j;
      double amax[2] = {0, 0};
      float scales[2];
      int sign;
      for (k = at; k < at + count; k++) {
        double size = fabs(values[k]);
        sign = signbit(values[k]) ? 1 : 0;
        if (isnan(size) || isnan(amax[0])) amax[0] = amax[1] = NAN;
        else if (size > amax[sign]) amax[sign] = size;
      }
      if (IS(ONE_MAXIMUM)) amax[0] = amax[1] = amax[0] < amax[1] ? amax[1] : amax[0];
      for (sign = 0; sign < 2; sign++) {
        scales[sign] = amax[sign] == 0 ? 1 : (float)(amax[sign] / 6);
        if (scales[sign] == 0) scales[sign] = 0x1p-149f;
      }
      positive[place] = scales[0];
      negative[place] = scales[1];
      for (k = at; k < at + count; k++) {
        sign = (signbit(values[k]) ? 1 : 0) ^ (IS(SIGNS_SWAPPED) ? 1 : 0);
        codes[k] = element(values[k] / (double)scales[IS(POSITIVE_FOR_BOTH) ? 0 : sign]);
      }
    }
}

/* ---- NF4 with a binary32 scale for 32 values; steps in binary32 ---- */

static const float NF4[] = {
  -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
  -0.18477343022823334f, -0.09105003625154495f, 0, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f,
  0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1
};

void nf4(const float *values, uint8_t *codes, float *block, size_t rows, size_t columns) {
  size_t blocks = (columns + 31) / 32, i, j, k;
  for (i = 0; i < rows; i++)
    for (j = 0; j < blocks; j++) {
      size_t count = columns - 32 * j < 32 ? columns - 32 * j : 32, at = i * columns + 32 * j;
      float scale = (float)maximum(values, i, 1, 32 * j, count, columns);
      block[i * blocks + j] = scale;
      for (k = at; k < at + count; k++) {
        float q = scale == 0 ? 0 : values[k] / scale;
        int code = 0;
        if (IS(BINS)) {
          float place = q > 1 ? 1 : q < -1 ? -1 : q;
          q = -1 + floorf((place + 1) * 0.5f * 65535 + 0.5f) * 2 / 65535;
        }
        if (isnan(q)) q = 0;
        while (code < 15 && q > ((double)NF4[code] + (double)NF4[code + 1]) / 2) code++;
        codes[k] = (uint8_t)code;
      }
    }
}

/* ---- BFP4: sign and 3 bits, and an exponent for 16 values ---- */

void bfp4(const float *values, uint8_t *codes, uint8_t *block, size_t rows, size_t columns) {
  size_t blocks = columns / 16, i, j, k;
  for (i = 0; i < rows; i++)
    for (j = 0; j < blocks; j++) {
      size_t at = i * columns + 16 * j;
      double amax = maximum(values, i, 1, 16 * j, 16, columns);
      int e = -126, finite = isfinite(amax);
      if (amax > 0 && finite) frexp(amax, &e);
      if (e < -126) e = -126;
      block[i * blocks + j] = finite ? (uint8_t)(e + 126) : 255;
      for (k = at; k < at + 16; k++) {
        double q = ldexp(fabs(values[k]), 1 - e), code = rint(q * 4);
        if (IS(EIGHT_BITS_FIRST)) code = floor(fmin(floor(q * 64 + 0.5), 127) / 16);
        codes[k] = finite ? (uint8_t)(code > 7 ? 7 : code) : 0;
        if (codes[k] && signbit(values[k])) codes[k] |= 8;
      }
    }
}
