/* SPDX-License-Identifier: MIT */
/*
 * A 32-bit user program without a C library: shows that 32-bit user mode works in the 64-bit
 * guest. Prints a line through INT 80h, checks its mode and its arithmetic, exits with 0 or 1.
 */

static int call3(int number, int a, const void *b, int c)
{
    int result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

void _start(void);

void _start(void)
{
    static const char good[] = "hello from 32-bit user mode\n";
    static const char bad[] = "hello32: wrong mode\n";
    unsigned short cs;
    unsigned ax = 1;
    int ok;

    __asm__("mov %%cs, %0" : "=r"(cs));
    /* 40h is INC EAX in 32-bit code and a REX prefix in 64-bit code: 1 + 1 against 1 */
    __asm__(".byte 0x40\n nop" : "+a"(ax));
    ok = (cs & 3) == 3 && ax == 2;
    call3(4, 1, ok ? good : bad, ok ? sizeof(good) - 1 : sizeof(bad) - 1); /* write */
    call3(1, !ok, 0, 0);                                                   /* exit */
    for (;;)
        ;
}
