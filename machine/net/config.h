/* SPDX-License-Identifier: MIT */
/* config.h - what `--net` asks for. */
#ifndef ORIGAMI_MACHINE_NET_CONFIG_H
#define ORIGAMI_MACHINE_NET_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define NET_FORWARDS 16
#define NET_NAME_MAX 15 /* of a tap device: IFNAMSIZ - 1 */

struct net_link_operations;

enum net_mode { NET_NONE, NET_USER, NET_TAP };

struct net_address {
    uint8_t byte[6];
};

/* Connections to a port of the host go to a port of the guest. */
struct net_forward {
    uint32_t host_address; /* IPv4, host byte order */
    uint16_t host_port, guest_port;
    bool udp;
};

struct net_config {
    uint32_t mode; /* enum net_mode */
    unsigned forward_count;
    struct net_forward forward[NET_FORWARDS];
    struct net_address mac;                 /* all zeros: the default one */
    const char *name;                       /* of the tap device; NULL or "" = none given */
    bool host_loopback;                     /* 10.0.2.2 is the host's 127.0.0.1 */
    const struct net_link_operations *link; /* other than the mode's own, for tests; NULL = none */
};

/* Parsers for the table of options: NULL, or what is wrong with the text. */
const char *net_parse_forward(void *forward, const char *text);
const char *net_parse_mac(void *mac, const char *text);
/* Do the parts fit together? */
const char *net_check(const void *config);

#endif
