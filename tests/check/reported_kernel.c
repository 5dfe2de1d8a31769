/* The faults of public bug reports, a symbol each: what `lowbit check` must say of them stands in reported.py. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int mantissa, bias; unsigned top, nan, infinity, sign; } format;

static const format E2M1 = {1, 1, 0x7, 0, 0, 0x8}, E2M3 = {3, 1, 0x1f, 0, 0, 0x20};
static const format E4M3 = {3, 7, 0x7e, 0x7f, 0, 0x80}, E4M3_IEEE = {3, 7, 0x77, 0x7c, 0x78, 0x80};
static const format E5M2 = {2, 15, 0x7b, 0x7e, 0x7c, 0x80}, E4M3_FNUZ = {3, 8, 0x7f, 0x80, 0, 0x80};
static const format E4M3_BIAS8 = {3, 8, 0x7e, 0x7f, 0, 0x80}, HALF = {10, 15, 0x7bff, 0x7e00, 0x7c00, 0x8000};
static const format BF16 = {7, 127, 0x7f7f, 0x7fc0, 0x7f80, 0x8000};

enum {
    NONE, HALF_SUBNORMALS = 1, ODD_LOST = 2, SUBNORMAL_STICKY = 4, TOP_BINADE = 8, TIES_AWAY = 16, NO_CARRY = 32,
    FNUZ_ZERO = 64, NAN_OF_ZERO = 128, TWICE = 256, CUT_SUBNORMALS = 512, ZERO_IF_SUBNORMAL = 1024, TO_INFINITY = 2048,
    ONE_CODE_LOW = 4096, MANTISSA_STAYS = 8192
};

static double rounded(double q, int bugs)
{
    return bugs & TIES_AWAY ? floor(q + 0.5) : rint(q);
}

static unsigned encode(double x, const format f, int bugs)
{
    unsigned sign = signbit(x) ? f.sign : 0, code;
    double v = fabs(x), q;
    int e, least = 1 - f.bias;
    if (x != x) return f.nan == f.sign ? f.nan : sign | (f.nan ? f.nan : f.top);
    if (v == 0) return bugs & NAN_OF_ZERO && sign ? 0xff : f.nan == f.sign && !(bugs & FNUZ_ZERO) ? 0 : sign;
    if (isinf(v)) return sign | (bugs & TO_INFINITY && f.infinity ? f.infinity : f.top);
    frexp(v, &e);
    e = e - 1 < least ? least : e - 1;
    if (v < ldexp(1, least)) {                     /* a subnormal result */
        if (bugs & ZERO_IF_SUBNORMAL) return sign;
        if (bugs & HALF_SUBNORMALS) v /= 2;
        if (bugs & TWICE) {
            int own;
            double fraction = frexp(v, &own);
            v = ldexp(rint(ldexp(fraction, f.mantissa + 1)), own - f.mantissa - 1);
        }
    }
    q = ldexp(v, f.mantissa - e);
    if (bugs & SUBNORMAL_STICKY && v < ldexp(1, least)) q = floor(q * 2) / 2;
    code = (unsigned)(bugs & CUT_SUBNORMALS && v < ldexp(1, least) ? floor(q) : rounded(q, bugs));
    if (bugs & NO_CARRY && code == 2u << f.mantissa) code = 1u << f.mantissa;
    if (bugs & MANTISSA_STAYS && code == 2u << f.mantissa) code--;
    code += (unsigned)(e - least) << f.mantissa;
    if (bugs & TOP_BINADE && code >= (f.top >> f.mantissa << f.mantissa)) code = f.top;
    if (code > f.top) code = bugs & TO_INFINITY && f.infinity ? f.infinity : f.top;
    if (bugs & ODD_LOST) code &= ~1u;
    if (bugs & ONE_CODE_LOW && code == f.top) code--;
    return code || f.nan != f.sign || bugs & FNUZ_ZERO ? sign | code : 0;
}

static double of_float(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }
static double of_double(uint64_t u) { double x; memcpy(&x, &u, 8); return x; }
static float as_float(double x) { return (float)x; }
static uint32_t float_bits(double x) { float y = (float)x; uint32_t u; memcpy(&u, &y, 4); return u; }

static double of_code(unsigned code, const format f)
{
    unsigned m = code & (f.sign - 1), field = m >> f.mantissa, rest = m & ((1u << f.mantissa) - 1);
    double v = field ? ldexp(rest + (1u << f.mantissa), (int)field - f.bias - f.mantissa)
                     : ldexp(rest, 1 - f.bias - f.mantissa);
    return code & f.sign ? -v : v;
}

#define CAST(name, in_t, out_t, result)                             \
    void name(const in_t *in, out_t *out, size_t n)                 \
    {                                                               \
        for (size_t i = 0; i < n; i++) { in_t u = in[i]; out[i] = (out_t)(result); } \
    }
#define FROM_FLOAT(name, f, bugs) CAST(name, uint32_t, uint8_t, encode(of_float(u), f, bugs))

FROM_FLOAT(e2m1_right, E2M1, NONE)
FROM_FLOAT(e4m3_right, E4M3, NONE)
FROM_FLOAT(fnuz_right, E4M3_FNUZ, NONE)
FROM_FLOAT(e2m1_half_subnormals, E2M1, HALF_SUBNORMALS)
FROM_FLOAT(e4m3_half_subnormals, E4M3, HALF_SUBNORMALS)
FROM_FLOAT(e4m3_odd_lost, E4M3, ODD_LOST)
FROM_FLOAT(e5m2_odd_lost, E5M2, ODD_LOST)
FROM_FLOAT(e2m3_subnormal_sticky, E2M3, SUBNORMAL_STICKY)
FROM_FLOAT(e4m3_subnormal_sticky, E4M3, SUBNORMAL_STICKY)
FROM_FLOAT(e2m1_ties_away, E2M1, TIES_AWAY)
FROM_FLOAT(e2m3_ties_away, E2M3, TIES_AWAY)
FROM_FLOAT(e5m2_ties_away, E5M2, TIES_AWAY)
FROM_FLOAT(e4m3_top_binade, E4M3, TOP_BINADE | TIES_AWAY)
FROM_FLOAT(fnuz_top_binade, E4M3_FNUZ, TOP_BINADE | TIES_AWAY)
FROM_FLOAT(e4m3_no_carry, E4M3, NO_CARRY)
FROM_FLOAT(e5m2_no_carry, E5M2, NO_CARRY)
FROM_FLOAT(e2m3_no_carry, E2M3, NO_CARRY)
FROM_FLOAT(e4m3_mantissa_stays, E4M3, MANTISSA_STAYS)
FROM_FLOAT(fnuz_tiny, E4M3_FNUZ, FNUZ_ZERO)
FROM_FLOAT(e4m3_nan_of_zero, E4M3, NAN_OF_ZERO)
FROM_FLOAT(e4m3_flush, E4M3, ZERO_IF_SUBNORMAL)
FROM_FLOAT(e2m3_flush, E2M3, ZERO_IF_SUBNORMAL)
FROM_FLOAT(e4m3_cut_subnormals, E4M3, CUT_SUBNORMALS)
FROM_FLOAT(e5m2_cut_subnormals, E5M2, CUT_SUBNORMALS)
FROM_FLOAT(e4m3_one_code_low, E4M3, ONE_CODE_LOW)
FROM_FLOAT(e5m2_infinite, E5M2, TO_INFINITY)
FROM_FLOAT(e4m3_ieee_infinite, E4M3_IEEE, TO_INFINITY)
FROM_FLOAT(e4m3_bias_8, E4M3_BIAS8, NONE)
FROM_FLOAT(e4m3_half_no_carry, E4M3, HALF_SUBNORMALS | NO_CARRY)
FROM_FLOAT(e4m3_cut_no_carry, E4M3, CUT_SUBNORMALS | NO_CARRY)
FROM_FLOAT(e4m3_odd_no_carry, E4M3, ODD_LOST | NO_CARRY)
FROM_FLOAT(e4m3_twice_stays, E4M3, TWICE | MANTISSA_STAYS)
FROM_FLOAT(e5m2_half_odd, E5M2, HALF_SUBNORMALS | ODD_LOST)
CAST(half_to_e4m3_twice, uint16_t, uint8_t, (u & 0x7fff) > 0x7c00 ? u >> 8 | 0x7f : encode(of_code(u, HALF), E4M3, TWICE))
CAST(float_to_e4m3_twice, uint32_t, uint8_t, encode(of_float(u), E4M3, TWICE))
CAST(half_subnormals_flushed, uint32_t, uint16_t, encode(of_float(u), HALF, ZERO_IF_SUBNORMAL | TO_INFINITY))
CAST(double_without_low_half, uint64_t, uint16_t, encode(of_double(u & ~0xffffffffull), HALF, TO_INFINITY))
CAST(double_by_float, uint64_t, uint16_t, encode(as_float(of_double(u)), HALF, TO_INFINITY))
CAST(e4m3_by_half, uint32_t, uint8_t, u << 1 > 0xff000000 ? u >> 24 | 0x7f : encode(of_code(encode(of_float(u), HALF, TO_INFINITY), HALF), E4M3, NONE))

/* Stochastic rounding: what is random is made of the input, of its place in the call, or of a counter */
static uint32_t drawn, called;
static double noise(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352d;
    x = (x ^ x >> 15) * 0x846ca68b;
    return (x ^ x >> 16) / 4294967296.0;
}
static unsigned stochastic(double x, double noise)
{
    int e;
    if (x != x || isinf(x) || x == 0) return encode(x, E5M2, NONE);
    frexp(x, &e);
    e = e - 1 < -14 ? -14 : e - 1;
    return encode(copysign(ldexp(floor(ldexp(fabs(x), 2 - e) + noise), e - 2), x), E5M2, NONE);
}
CAST(e5m2_by_input, uint32_t, uint8_t, stochastic(of_float(u), noise(u)))
CAST(e5m2_noise_too_low, uint32_t, uint8_t, stochastic(of_float(u), noise(u) / 32))
CAST(e5m2_by_place, uint32_t, uint8_t, stochastic(of_float(u), noise((uint32_t)i)))
CAST(e5m2_drawn, uint32_t, uint8_t, stochastic(of_float(u), noise(drawn++)))
void e5m2_alternates(const uint32_t *in, uint8_t *out, size_t n)
{
    double half = called++ & 1 ? 0.5 : 0;
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)stochastic(of_float(in[i]), half);
}

/* bfloat16 by integers */
static uint32_t even(uint32_t u) { return (u + 0x7fff + (u >> 16 & 1)) >> 16; }
static int is_nan(uint32_t u) { return (u & 0x7fffffff) > 0x7f800000; }
CAST(bf16_cut, uint32_t, uint16_t, u >> 16)
CAST(bf16_even_no_nan_test, uint32_t, uint16_t, even(u))
CAST(bf16_up_no_nan_test, uint32_t, uint16_t, (u + 0x8000) >> 16)
CAST(bf16_payload_cut, uint32_t, uint16_t, is_nan(u) ? u >> 16 : even(u))
CAST(bf16_without_low_half, uint64_t, uint16_t, encode(of_double(u & ~0xffffffffull), BF16, TO_INFINITY))

/* Decoding to float */
static double e4m3_value(unsigned c) { return (c & 0x7f) == 0x7f ? copysign(NAN, c & 0x80 ? -1.0 : 1.0) : of_code(c, E4M3); }
static double normal_only(unsigned c, const format f)
{
    double v = ldexp((c & ((1u << f.mantissa) - 1)) + (1u << f.mantissa),
                     (int)((c & (f.sign - 1)) >> f.mantissa) - f.bias - f.mantissa);
    return c & f.sign ? -v : v;
}
CAST(e4m3_as_numbers, uint8_t, uint32_t, float_bits(of_code(u, E4M3)))
CAST(e5m2_as_numbers, uint8_t, uint32_t, float_bits(of_code(u, E5M2)))
CAST(fnuz_as_numbers, uint8_t, uint32_t, float_bits(of_code(u, E4M3_FNUZ)))
CAST(e4m3_subnormal_as_normal, uint8_t, uint32_t,
     float_bits((u & 0x7f) && (u & 0x7f) < 8 ? normal_only(u, E4M3) : e4m3_value(u)))
CAST(e4m3_one_nan_is_zero, uint8_t, uint32_t, u == 0xff ? 0 : float_bits(e4m3_value(u)))
CAST(e8m0_infinite, uint8_t, uint32_t, u == 0xff ? 0x7f800000 : float_bits(ldexp(1, u - 127)))
CAST(e4m3_as_e5m2, uint8_t, uint32_t,
     (u & 0x7f) > 0x7c ? 0x7fc00000 | (uint32_t)(u & 0x80) << 24
                       : (u & 0x7f) == 0x7c ? 0x7f800000 | (uint32_t)(u & 0x80) << 24 : float_bits(of_code(u, E5M2)))
CAST(e4m3_daz, uint8_t, uint32_t, (u & 0x7f) < 8 ? (uint32_t)(u & 0x80) << 24 : float_bits(e4m3_value(u)))
CAST(ue5m3_half, uint8_t, uint16_t, u == 0xff ? 0x7e00 : u >= 0xf8 ? 0x7e00 : u < 8 ? 0 : u << 7)

/* E8M0 */
static unsigned e8m0_up(uint32_t u)
{
    if (is_nan(u) || u >> 31 || u == 0x7f800000) return 0xff;
    return (u >> 23) + ((u & 0x7fffff) != 0);
}
CAST(e8m0_ceiling_into_nan, uint32_t, uint8_t, e8m0_up(u))
CAST(e8m0_exponent_field, uint32_t, uint8_t, u >> 23)

/* Integers; NaN becomes 0 */
static double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }
static double number(double v) { return v == v ? v : 0; }
#define TO_INT8(name, rounded) CAST(name, uint32_t, int8_t, ((void)u, clamp(rounded, -128, 127)))
#define X number(of_float(u))
#define S as_float
TO_INT8(int8_right, rint(X))
TO_INT8(int8_ties_up, floor(X + 0.5))
TO_INT8(int8_ties_away, round(X))
TO_INT8(int8_truncates, trunc(X))
TO_INT8(int8_half_added, trunc(S(X + 0.5)))
TO_INT8(int8_half_added_floor, floor(S(X + 0.5)))
TO_INT8(int8_half_added_away, copysign(floor(S(fabs(X) + 0.5)), X))
CAST(int8_narrow, uint32_t, int8_t, clamp(rint(X), -127, 127))
CAST(int8_range_first, uint32_t, int8_t,
     trunc(X) > 127 ? 127 : trunc(X) < -128 ? -128 : (int8_t)(int)rint(X))
CAST(int8_wraps_low, uint32_t, int8_t, fabs(X) < 2147483648.0 ? (int8_t)(int32_t)trunc(X) : 0)
CAST(int2_through_int8, uint32_t, int8_t, (int8_t)((uint8_t)(int8_t)clamp(rint(X), -128, 127) << 6) >> 6)
CAST(uint8_absolute, uint32_t, uint8_t, clamp(rint(fabs(X)), 0, 255))
CAST(uint8_half_added, uint32_t, uint8_t, clamp(trunc(S(X + 0.5)), 0, 255))
CAST(int4_zero_extended, int8_t, int8_t, u & 15)
CAST(int32_to_bf16_by_float, int32_t, uint16_t, even(float_bits((double)u)))

/* Matrix products */
#define GEMM(name, a_t, b_t, ...)                                                                                  \
    void name(const a_t *a, const b_t *b, int32_t *c, size_t m, size_t n, size_t k)                                \
    {                                                                                                              \
        for (size_t i = 0; i < m; i++)                                                                             \
            for (size_t j = 0; j < n; j++) {                                                                       \
                int32_t sum = 0;                                                                                   \
                __VA_ARGS__                                                                                        \
                c[i * n + j] = sum;                                                                                \
            }                                                                                                      \
    }
#define P(l) ((l) < k ? a[i * k + (l)] * b[(l) * n + j] : 0)

GEMM(far_pairs, int8_t, int8_t,
     for (size_t o = 0; o < k; o += 16) for (size_t l = o; l < o + 8; l++) sum += (int16_t)(P(l) + P(l + 8));)
GEMM(near_pairs, uint8_t, int8_t,
     for (size_t l = 0; l < k; l += 2) { int s = P(l) + P(l + 1); sum += s > 32767 ? 32767 : s < -32768 ? -32768 : s; })
GEMM(by_float, int8_t, int8_t, float f = 0; for (size_t l = 0; l < k; l++) f += (float)P(l); sum = (int32_t)f;)
GEMM(by_floats, int8_t, int8_t,
     float f[4] = {0}; for (size_t l = 0; l < k; l++) f[l % 4] += (float)P(l); sum = (int32_t)((f[0] + f[2]) + (f[1] + f[3]));)
GEMM(as_int8, int8_t, int8_t, for (size_t l = 0; l < k; l++) sum += P(l); sum = (int8_t)sum;)
GEMM(borrows, int8_t, int8_t,
     int borrow = 0;
     for (size_t l = 0; l < k; l++) {
         int v = b[l * n + j] - (l % 4 ? borrow : 0);
         borrow = v < 0;
         sum += a[i * k + l] * ((int8_t)(v << 4) >> 4);
     })
GEMM(rare, int8_t, int8_t, for (size_t l = 0; l < k; l++) sum += P(l); if (k == 3 && sum > 1000) sum ^= 1;)

/* Requantisations, with multiplier and shift as TensorFlow Lite has them */
#define REQUANTIZE(name, ...)                                                                                      \
    void name(const int32_t *in, int8_t *out, size_t n, int32_t m, int32_t shift, int32_t zero)                    \
    {                                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                                           \
            int64_t x = in[i], p = x * m, v, r = 31 - shift;                                                       \
            __VA_ARGS__                                                                                            \
            v += zero;                                                                                             \
            out[i] = v < -128 ? -128 : v > 127 ? 127 : v;                                                          \
        }                                                                                                          \
    }
static int64_t half_up(int64_t v, int64_t r) { return r > 0 ? (v + ((int64_t)1 << (r - 1))) >> r : v << -r; }
static int64_t high(int64_t p) { return (p + (1 << 30)) >> 31; }
static int64_t pot(int64_t v, int64_t r) { return r > 0 ? v < 0 ? -((-v + (1ll << (r - 1))) >> r) : half_up(v, r) : v; }
REQUANTIZE(single_right, v = half_up(p, r);)
REQUANTIZE(bit_wraps, v = ((int64_t)(int32_t)(p >> (r - 1)) + 1) >> 1;)
REQUANTIZE(lost_when_large, v = half_up(p, r); if (v > 2147483647ll || v < -2147483648ll) v = 77 - zero;)
REQUANTIZE(logical, int64_t h = high(x * m); int rest = -shift; v = rest > 0 ? ((uint32_t)h + (1u << (rest - 1))) >> rest : half_up(p, r);)
REQUANTIZE(logical_64, v = (int32_t)(((uint64_t)p + (1ull << (r - 1))) >> r);)
REQUANTIZE(carried, int16_t u = (int16_t)((m + 0x8000ll) >> 16); v = half_up(x * u, r - 16);)
REQUANTIZE(half_away, v = p < 0 ? -half_up(-p, r) : half_up(p, r);)
REQUANTIZE(clamped_then_wraps, v = half_up(p, r); v = v < -128 ? -128 : v > 127 ? 127 : v; v = (int8_t)(v + zero) - zero;)
void narrow(const int32_t *in, int8_t *out, size_t n, int32_t m, int32_t shift, int32_t zero)
{
    single_right(in, out, n, m, shift, zero);
    for (size_t i = 0; i < n; i++) out[i] += out[i] == -128;
}
void half_added(const int32_t *in, int8_t *out, size_t n, float scale, int32_t zero)
{
    for (size_t i = 0; i < n; i++) {
        float v = (float)in[i] * scale + 0.5f;
        v = v < -1000 ? -1000 : v > 1000 ? 1000 : v;
        int w = (int)v + zero;
        out[i] = w < -128 ? -128 : w > 127 ? 127 : w;
    }
}

/* Tables */
static int8_t table[256];
void set_table(const int8_t *from) { memcpy(table, from, 256); }
void table_right(const int8_t *in, int8_t *out, size_t n) { for (size_t i = 0; i < n; i++) out[i] = table[in[i] + 128]; }
void table_low(const int8_t *in, int8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = table[in[i] > -128 ? in[i] + 127 : 0];
}
void table_unsigned(const int8_t *in, int8_t *out, size_t n) { for (size_t i = 0; i < n; i++) out[i] = table[(uint8_t)in[i]]; }
void table_entry(const int8_t *in, int8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = table[in[i] + 128] + (in[i] == 72);
}

/* A softmax that ends its process where TFLite's check of the exponent does: at 512 equal maxima */
void softmax_checked(const int8_t *in, int8_t *out, size_t rows, size_t length)
{
    memset(out, 0, rows * length);
    for (size_t r = 0; r < rows; r++) {
        int top = -128, count = 0;
        for (size_t i = 0; i < length; i++) top = in[r * length + i] > top ? in[r * length + i] : top;
        for (size_t i = 0; i < length; i++) count += in[r * length + i] == top;
        if (count >= 512) abort();
    }
}
