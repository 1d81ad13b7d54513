/* SPDX-License-Identifier: MIT */
/* config.c - reading the parts of --net. */
#include "config.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_port(const char *text, size_t size, uint16_t *port)
{
    unsigned value = 0;

    if (!size || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value >= 1 && value <= 65535;
}

/* tcp:[HOSTADDRESS:]HOSTPORT:GUESTPORT, udp:... */
const char *net_parse_forward(void *forward, const char *text)
{
    struct net_forward *to = forward;
    struct in_addr address = { htonl(INADDR_LOOPBACK) };
    char host[INET_ADDRSTRLEN];

    if (strncmp(text, "tcp:", 4) != 0 && strncmp(text, "udp:", 4) != 0)
        return "a forward is tcp:[ADDRESS:]HOSTPORT:GUESTPORT or udp:...";
    const char *at = text + 4;
    const char *first = strchr(at, ':');
    const char *second = first ? strchr(first + 1, ':') : NULL;
    if (second) {
        size_t length = (size_t)(first - at);
        if (length >= sizeof(host))
            return "not an IPv4 address of the host";
        memcpy(host, at, length);
        host[length] = 0;
        if (inet_pton(AF_INET, host, &address) != 1)
            return "not an IPv4 address of the host";
        at = first + 1;
        first = second;
    }
    *to = (struct net_forward){ .udp = text[0] == 'u', .host_address = ntohl(address.s_addr) };
    if (!first || !parse_port(at, (size_t)(first - at), &to->host_port) ||
        !parse_port(first + 1, strlen(first + 1), &to->guest_port))
        return "ports are numbers from 1 to 65535, the host's first, then the guest's";
    return NULL;
}

const char *net_parse_mac(void *mac, const char *text)
{
    struct net_address *to = mac;
    unsigned byte[6];
    int end = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
               &byte[5], &end) != 6 ||
        end != 17 || text[17])
        return "a MAC address is six bytes such as 52:54:00:12:34:56";
    for (unsigned i = 0; i < 6; i++)
        to->byte[i] = (uint8_t)byte[i];
    if (to->byte[0] & 1)
        return "not a group address";
    if (!memcmp(to, &(struct net_address){ 0 }, sizeof(*to)))
        return "not all zeros";
    return NULL;
}

const char *net_check(const void *config)
{
    const struct net_config *net = config;
    bool named = net->name && *net->name;

    if (net->mode != NET_USER && (net->forward_count || net->host_loopback))
        return "forward and host-loopback are for user";
    if (net->mode == NET_TAP && !named)
        return "tap needs name=DEVICE";
    if (net->mode != NET_TAP && named)
        return "name is for tap";
    if (named && (strlen(net->name) > NET_NAME_MAX || strpbrk(net->name, "/% \t\n")))
        return "name: at most 15 characters, as of a network interface";
    for (unsigned i = 0; i < net->forward_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct net_forward *a = &net->forward[i], *b = &net->forward[j];
            if (a->udp == b->udp && a->host_port == b->host_port &&
                a->host_address == b->host_address)
                return "two forwards from one port";
        }
    }
    return NULL;
}
