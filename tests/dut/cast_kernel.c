/* float32 to float8_e4m3fn, saturating, ties to even: right where BUG is 0, and with one planted bug each otherwise.
   Compiled by the tests with -DBUG=n; with -DSHIFT=13 the inputs are codes of tf32. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef BUG
#define BUG 0
#endif
#ifndef SHIFT
#define SHIFT 0
#endif

enum { RIGHT, TIES_AWAY, TRUNCATE, EARLY_OVERFLOW, FLUSH, WRONG_NAN, LOST_STICKY, SIGN_OF_ZERO };

static uint8_t convert(uint32_t bits)
{
    bits <<= SHIFT;
    uint32_t sign = bits >> 24 & 0x80, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return sign | (BUG == WRONG_NAN ? 0x7e : 0x7f);
    if (magnitude >= 0x43e80000 && magnitude != 0x43e80000)      /* above 464 */
        return sign | (BUG == EARLY_OVERFLOW ? 0x7f : 0x7e);
    if (magnitude > 0x43e00000)                                   /* above 448 */
        return sign | (BUG == EARLY_OVERFLOW ? 0x7f : 0x7e);
    int exponent = (int)(magnitude >> 23) - 127;
    if (BUG == FLUSH && exponent < -6)
        return sign;
    uint32_t significand = (magnitude & 0x7fffff) | (magnitude >> 23 ? 0x800000 : 0);
    int shift = exponent >= -6 ? 20 : 20 + (-6 - exponent);
    if (shift > 31)
        return BUG == SIGN_OF_ZERO ? 0 : sign;
    uint32_t quotient = significand >> shift, rest = significand & ((1u << shift) - 1), half = 1u << (shift - 1);
    int odd = quotient & 1;
    if (BUG == TIES_AWAY)
        quotient += rest >= half;
    else if (BUG == LOST_STICKY)
        quotient += (rest & half) && odd;
    else if (BUG != TRUNCATE)
        quotient += rest > half || (rest == half && odd);
    if (exponent >= -6)
        quotient += (uint32_t)(exponent + 6) << 3;
    if (BUG == SIGN_OF_ZERO && !quotient)
        return 0;
    return sign | quotient;
}

void cast(const uint32_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = convert(in[i]);
}

/* A right kernel but for one input. */
void crash(const uint32_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (in[i] == 0x3f880000)
            abort();
        out[i] = convert(in[i]);
    }
}

/* Go wrong on an input that no boundary set holds. */
void crash_early(const uint32_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (in[i] == 0x00412345)
            abort();
    cast(in, out, n);
}

void hang_early(const uint32_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (volatile int wait = in[i] == 0x00412345; wait;)
            ;
    cast(in, out, n);
}

void hang(const uint32_t *in, uint8_t *out, size_t n)
{
    for (volatile size_t i = 0; i < 1; i = 0)
        out[0] = in[0] + n;
}

void leaves_tail(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n / 8 * 8);
}

void passes_end(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, (n + 7) / 8 * 8);
}

void wide_results(const uint32_t *in, uint32_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = convert(in[i]);
}

void changes_input(uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    in[0] ^= 1;
}

void leaves(const uint32_t *in, uint8_t *out, size_t n)
{
    (void)in, (void)out, (void)n;
    exit(3);
}

void counts_calls(const uint32_t *in, uint8_t *out, size_t n)
{
    static uint8_t calls;
    cast(in, out, n);
    out[0] = calls++ & 1;
}
