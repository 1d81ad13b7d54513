/* SPDX-License-Identifier: MIT */
/*
 * The I/O permission bitmap of the TSS (SDM Vol 1 19.5.2): the CPU always reads two bytes of it,
 * an access of n ports needs n clear bits, and anything beyond the limit is refused.
 */
#include "guest.h"

#define MAP_OFFSET (LONG_MODE ? 104u : 104u) /* of the map in struct tss */

static void port_check(const char *name, u32 port, u32 bytes, u32 vector)
{
    in.dx = port;
    run(USER, bytes == 1 ? CODE("in al, dx") : bytes == 2 ? CODE("in ax, dx") : CODE("in eax, dx"));
    if (vector == DONE)
        check_done(name);
    else
        check_fault_at(name, vector, 0, 0);
}

CHECKS(io_bitmap)
{
    u8 *map = tss_iomap();

    port_check("iomap.absent", 0x80, 1, GP);
    tss_set_iomap(MAP_OFFSET, 0);
    port_check("iomap.bit_set", 0x80, 1, GP);
    map[0x80 / 8] = 0xfe;
    port_check("iomap.bit_clear", 0x80, 1, DONE);
    port_check("iomap.next_bit_set", 0x81, 1, GP);
    port_check("iomap.word_second_refused", 0x80, 2, GP);
    map[0x80 / 8] = 0xfc;
    port_check("iomap.word", 0x80, 2, DONE);
    port_check("iomap.dword_third_refused", 0x80, 4, GP);
    map[0x80 / 8] = 0xf0;
    port_check("iomap.dword", 0x80, 4, DONE);
    map[0x80 / 8] = 0xff;
    map[0x87 / 8] = 0x7f;
    port_check("iomap.bit7", 0x87, 1, DONE);
    port_check("iomap.word_over_byte_refused", 0x87, 2, GP);
    map[0x88 / 8] = 0xfe;
    port_check("iomap.word_over_byte", 0x87, 2, DONE);
    map[0x88 / 8] = 0xff;
    map[8191] = 0x7f;
    port_check("iomap.last_port", 0xffff, 1, DONE);
    map[8191] = 0xff;
    port_check("iomap.last_port_refused", 0xffff, 1, GP);

    /* the limit: byte 16 of the map holds ports 80h-87h and byte 17 is read along with it */
    map[0x80 / 8] = 0;
    map[0x88 / 8] = 0;
    tss_set_iomap(MAP_OFFSET, MAP_OFFSET + 17);
    port_check("iomap.limit_just_enough", 0x80, 1, DONE);
    port_check("iomap.limit_second_byte_outside", 0x88, 1, GP);
    tss_set_iomap(MAP_OFFSET, MAP_OFFSET + 16);
    port_check("iomap.limit_one_short", 0x80, 1, GP);
    tss_set_iomap(MAP_OFFSET, MAP_OFFSET + 15);
    port_check("iomap.limit_two_short", 0x80, 1, GP);
    tss_set_iomap(MAP_OFFSET, 0);

    in.dx = 0x80;
    run(U32, CODE32("out dx, al"));
    check_done("iomap.u32_out");
    in.dx = 0x90;
    run(U32, CODE32("out dx, al"));
    check_fault_at("iomap.u32_out_refused", GP, 0, 0);
    run(USER, CODE("in al, 0x80"));
    check_done("iomap.immediate");
    static u8 buffer[16];
    in.dx = 0x80;
    in.di = in.si = USER_PTR(buffer);
    in.cx = 4;
    run(USER, CODE("rep insb"));
    check_done("iomap.rep_insb");
    check_value("rep_insb.count", out.f.cx, 0);
    check_value("rep_insb.pointer", out.f.di, USER_PTR(buffer) + 4);
    in.dx = 0x80;
    in.di = in.si = USER_PTR(buffer);
    in.cx = 3;
    run(USER, CODE("std\n rep outsb\n cld"));
    check_value("rep_outsb.backwards", out.f.si, USER_PTR(buffer) - 3);
    in.dx = 0x80;
    in.di = 0x1000; /* supervisor page */
    in.cx = 1;
    run(USER, CODE("rep insb"));
    check_fault_at("insb.page_fault", PF, ERR_P | ERR_W | ERR_U, 0);
    in.dx = 0x90;
    in.di = 0x1000;
    run(USER, CODE("insb"));
    check_fault_at("insb.permission_first", GP, 0, 0);
    in.flags = FL_IOPL;
    in.dx = 0x90;
    run(USER, CODE("in al, dx"));
    check_done("iomap.iopl3_ignores_map");
    in.dx = 0x90;
    run(KERNEL, CODE("in al, dx"));
    check_done("iomap.cpl0_ignores_map");
}
