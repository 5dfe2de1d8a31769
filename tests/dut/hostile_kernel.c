/* tf32 to float8_e4m3fn, right but for what each function does beside it: to its arguments when it is called with many
   rows, to the process that it runs in, to the streams and descriptors of that process. */
#include "cast_kernel.c"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 100000, LIFE = 30 };

/* In the tail of a loop over lanes. */

void truncates_in_the_tail(const uint32_t *in, uint8_t *out, size_t n)
{
    size_t whole = n / 16 * 16;
    cast(in, out, whole);
    for (size_t i = whole; i < n; i++) {
        uint32_t low = in[i] & ~0x7fffu; /* the bits that round to nearest are gone */
        cast(&low, out + i, 1);
    }
}

/* With many rows. */

void clears_input(uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    if (n >= MANY) {
        memset(in, 0, n * sizeof *in);
        memset(out, 0, n);
    }
}

void changes_input_with_many(uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    if (n >= MANY)
        in[n / 2] ^= 1;
}

void skips_rows(const uint32_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (n < MANY || i % 1000 != 999)
            cast(in + i, out + i, 1);
}

void writes_nothing(const uint32_t *in, uint8_t *out, size_t n)
{
    if (n < MANY)
        cast(in, out, n);
}

void passes_end_with_many(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    if (n >= MANY)
        out[n] = 0;
}

void passes_start_with_many(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    if (n >= MANY)
        out[-1] = 0;
}

/* One is wrong with few rows only. */
void wrong_with_few(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    for (size_t i = 0; n < MANY && i < n; i++)
        out[i] ^= in[i] == 0x3f800000 >> SHIFT;
}

void exits_in_the_middle(const uint32_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (in[i] == 0x12345)
            exit(0);
    cast(in, out, n);
}

/* What is none of its business. */

void reads_past_the_end(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    out[n - 1] ^= in[n] & 1;
}

void adds_to_the_results(const uint32_t *in, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t before = out[i];
        cast(in + i, out + i, 1);
        out[i] += before & 1;
    }
}

/* Streams and descriptors. */

static const char forged[] = "{\"done\": 524288, \"rows\": 524288, \"differences\": 0, \"codes\": [], \"got\": []}\n";

void prints(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    puts("hello");
    printf(forged);
    fflush(stdout);
}

void forges(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    if (n >= MANY) {
        write(1, forged, sizeof forged - 1);
        _exit(0);
    }
}

static void everywhere(const char *text, size_t length)
{
    for (int descriptor = 3; descriptor < 64; descriptor++)
        write(descriptor, text, length);
}

void forges_everywhere(const uint32_t *in, uint8_t *out, size_t n)
{
    memset(out, 0, n);
    everywhere(forged, sizeof forged - 1);
}

void garbles(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    everywhere("\xff[[[", 4);
}

void floods(const uint32_t *in, uint8_t *out, size_t n)
{
    static char text[1 << 16];
    for (;;)
        everywhere(text, sizeof text);
}

void closes(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    for (int descriptor = 3; descriptor < 64; descriptor++)
        close(descriptor);
}

void announces(const uint32_t *in, uint8_t *out, size_t n)
{
    static int announced;
    cast(in, out, n);
    if (n >= MANY && !announced++)
        write(2, "sweeping\n", 9);
}

/* Processes, whose numbers go to the file that $LOWBIT_TEST_PROCESSES names. */

static void start_one(void)
{
    int process = fork();
    if (process == 0) {
        sleep(LIFE);
        _exit(0);
    }
    FILE *file = fopen(getenv("LOWBIT_TEST_PROCESSES"), "a");
    fprintf(file, "%d\n", process);
    fclose(file);
}

void forks(const uint32_t *in, uint8_t *out, size_t n)
{
    static int forked;
    cast(in, out, n);
    if (!forked++)
        start_one();
}

void becomes_a_daemon(const uint32_t *in, uint8_t *out, size_t n)
{
    static int forked;
    cast(in, out, n);
    if (forked++)
        return;
    if (fork() == 0) {
        setsid();
        start_one();
        _exit(0);
    }
    wait(0);
}

void starts_a_shell(const uint32_t *in, uint8_t *out, size_t n)
{
    static int started;
    cast(in, out, n);
    if (!started++)
        system("sleep 30 & echo $! >> $LOWBIT_TEST_PROCESSES");
}

void forks_and_aborts(const uint32_t *in, uint8_t *out, size_t n)
{
    forks(in, out, n);
    abort();
}

void forks_and_exits(const uint32_t *in, uint8_t *out, size_t n)
{
    forks(in, out, n);
    _exit(3);
}

void forks_and_hangs(const uint32_t *in, uint8_t *out, size_t n)
{
    forks(in, out, n);
    sleep(LIFE);
}

/* Parent and child both return. */
void returns_twice(const uint32_t *in, uint8_t *out, size_t n)
{
    fork();
    cast(in, out, n);
}

/* A child writes to the results when the parent is elsewhere. */
void writes_later(const uint32_t *in, uint8_t *out, size_t n)
{
    cast(in, out, n);
    if (fork() == 0)
        for (int time = 0; time < 100; time++) {
            usleep(1000);
            memset(out, 0x11, n);
        }
}
