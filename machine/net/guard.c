/* SPDX-License-Identifier: MIT */
/*
 * guard.c - destinations of IPv4 and IPv6 packets that mean "this host". Other protocols (ARP) open
 * no socket. A packet too short for its addresses is dropped: nobody could tell where it goes.
 */
#include "guard.h"
#include "link.h"
#include <string.h>

#define TYPE_IPV4 0x0800u
#define TYPE_IPV6 0x86ddu

#define IPV4_DESTINATION (LINK_HEADER + 16)
#define IPV6_DESTINATION (LINK_HEADER + 24)

/* RFC 6890: 127.0.0.0/8 loopback, 0.0.0.0/8 this host; Linux connects both to itself. */
static bool ipv4_is_host(const uint8_t *address)
{
    return address[0] == 127 || address[0] == 0;
}

/* RFC 4291: ::1 and :: lie in ::/96, where the IPv4-compatible addresses are too; ::ffff:a.b.c.d
 * reaches IPv4. */
static bool ipv6_is_host(const uint8_t *address)
{
    static const uint8_t zeros[12];
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    return !memcmp(address, zeros, sizeof(zeros)) || !memcmp(address, mapped, sizeof(mapped));
}

bool guard_allows(const uint8_t *frame, size_t size)
{
    if (size < LINK_HEADER)
        return false;
    unsigned type = (unsigned)frame[12] << 8 | frame[13];
    if (type == TYPE_IPV4)
        return size >= IPV4_DESTINATION + 4 && !ipv4_is_host(frame + IPV4_DESTINATION);
    if (type == TYPE_IPV6)
        return size >= IPV6_DESTINATION + 16 && !ipv6_is_host(frame + IPV6_DESTINATION);
    return true;
}
