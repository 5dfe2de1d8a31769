/* An integer matrix product with a planted bug, chosen by -DBUG=n; 0 is right. Element types by -DA=, -DB=, -DC=. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef A
#define A int8_t
#endif
#ifndef B
#define B int8_t
#endif
#ifndef C
#define C int32_t
#endif

enum {
    RIGHT, PAIR_SATURATES, BITS_24, K_TAIL, A_UNSIGNED, B_TRANSPOSED, SATURATES, BITS_16_SATURATING, B_STRIDE,
    LAST_PRODUCT, BINARY32, FINAL_SATURATION, RESULT_TRANSPOSED, SPILLS, LANES_20, ADDS_TO_C, READS_PAST_B,
    LEAVES_ROWS, WRITES_PAST_C, CRASHES, WRONG_ROWS, OVERWRITES_A, BLOCKS
};

static int64_t clamp(int64_t value, int bits)
{
    int64_t most = ((int64_t)1 << (bits - 1)) - 1;
    return value > most ? most : value < -most - 1 ? -most - 1 : value;
}

static int64_t wrap(int64_t value, int bits)
{
    return (int64_t)((uint64_t)value << (64 - bits)) >> (64 - bits);
}

static int64_t dot(const A *a, const B *b, size_t j, size_t n, size_t k)
{
    int64_t sum = 0, wide = 0, lanes[8] = {0};
    float single = 0;
    size_t l;
    for (l = 0; l < k; l++) {
        int64_t left = a[l], right = b[l * n + j], product;
        if (BUG == A_UNSIGNED) left = (uint8_t)a[l];
        if (BUG == B_STRIDE) right = b[l * (n - 1) + j];
        product = left * right;
        switch (BUG) {
        case PAIR_SATURATES:
            if (l % 2 == 0) wide = product;
            else wide += product;
            if (l % 2 == 1 || l == k - 1) sum = wrap(sum + clamp(wide, 16), 32);
            break;
        case BITS_24: sum = wrap(sum + product, 24); break;
        case K_TAIL: if (l < k / 16 * 16) sum = wrap(sum + product, 32); break;
        case SATURATES: sum = clamp(sum + product, 32); break;
        case BITS_16_SATURATING: sum = clamp(sum + product, 16); break;
        case LAST_PRODUCT: if (l + 1 < k) sum += product; break;
        case BINARY32: single += (float)product; sum = (int64_t)single; break;
        case SPILLS:
            wide = clamp(wide + product, 16);
            if (l % 8 == 7 || l == k - 1) { sum += wide; wide = 0; }
            break;
        case LANES_20: lanes[l % 8] = clamp(lanes[l % 8] + product, 20); break;
        case BLOCKS:
            wide = clamp(wide + product, 20);
            if (l % 16 == 15 || l == k - 1) { sum = clamp(sum + wide, 20); wide = 0; }
            break;
        case READS_PAST_B: sum += product; if (l + 1 == k) sum += b[k * n + j]; break;
        default: sum += product;
        }
    }
    if (BUG == LANES_20) for (l = 0; l < 8; l++) sum = clamp(sum + lanes[l], 20);
    if (BUG == FINAL_SATURATION) sum = clamp(sum, 16);
    return sum;
}

static void multiply(const A *a, const B *b, C *c, size_t m, size_t n, size_t k)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            int64_t sum;
            if (BUG == LEAVES_ROWS && m > 1 && i == m - 1) continue;
            if (BUG == B_TRANSPOSED) sum = dot(a + i * k, b + j * k, 0, 1, k);
            else sum = dot(a + i * k, b, j, n, k);
            if (BUG == WRONG_ROWS && i >= m / 4 * 4) sum += 1;
            if (BUG == RESULT_TRANSPOSED) c[j * m + i] = (C)sum;
            else if (BUG == ADDS_TO_C) c[i * n + j] += (C)sum;
            else c[i * n + j] = (C)sum;
        }
    if (BUG == WRITES_PAST_C) c[m * n] = 0;
    if (BUG == CRASHES && k == 17) abort();
    if (BUG == OVERWRITES_A) ((A *)a)[0] ^= 1;
}

void gemm(const A *a, const B *b, C *c, size_t m, size_t n, size_t k)
{
    multiply(a, b, c, m, n, k);
}

/* With zero points; ZERO_BUG: 1 ignores that of a, 2 adds that of b, 3 forgets their product, 4 cuts a - za to 8 bits. */
#ifndef ZERO_BUG
#define ZERO_BUG 0
#endif
void gemm_zero(const A *a, const B *b, C *c, size_t m, size_t n, size_t k, int32_t za, int32_t zb)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            int32_t sum = 0;
            for (size_t l = 0; l < k; l++) {
                int32_t left = a[i * k + l] - (ZERO_BUG == 1 ? 0 : za);
                int32_t right = ZERO_BUG == 2 ? b[l * n + j] + zb : b[l * n + j] - zb;
                if (ZERO_BUG == 4) left = (int8_t)left;
                sum += left * right;
            }
            if (ZERO_BUG == 3) sum -= (int32_t)k * za * zb;
            c[i * n + j] = sum;
        }
}
