/* SPDX-License-Identifier: MIT */
/* optiontable.c - every option of `origami run`, in the order of --help. */
#include "optiontable.h"
#include <origami/wire.h>
#include <string.h>

/* Where a value is kept. */
#define IN(structure, member)                                                                      \
    .offset = offsetof(structure, member), .size = sizeof(((structure *)0)->member),               \
    .count_offset = VALUE_ONE
#define LIST(structure, member)                                                                    \
    .offset = offsetof(structure, member), .size = sizeof(((structure *)0)->member[0]),            \
    .list_max = sizeof(((structure *)0)->member) / sizeof(((structure *)0)->member[0]),            \
    .count_offset = offsetof(structure, member##_count)
#define OPTION(member)  IN(struct options, member)
#define OPTIONS(member) LIST(struct options, member)

static const struct option_field module_parts[] = {
    { "file", VALUE_FILE, IN(struct options_module, file), .required = true },
    { "arguments", VALUE_TEXT, IN(struct options_module, arguments), .rest = true },
    { 0 },
};

static const struct option_field disk_parts[] = {
    { "file", VALUE_FILE, IN(struct options_disk, file), .required = true },
    { "ro", VALUE_FLAG, IN(struct options_disk, read_only) },
    { "serial", VALUE_TEXT, IN(struct options_disk, serial) },
    { 0 },
};

static const struct value_choice net_modes[] = {
    { "none", NET_NONE }, { "user", NET_USER }, { "tap", NET_TAP }, { 0 }
};
static const struct option_field net_parts[] = {
    { "mode", VALUE_CHOICE, IN(struct net_config, mode), .choice = net_modes,
      .wanted = "none, user or tap", .required = true },
    { "forward", VALUE_PARSED, LIST(struct net_config, forward), .parse = net_parse_forward },
    { "host-loopback", VALUE_FLAG, IN(struct net_config, host_loopback) },
    { "name", VALUE_TEXT, IN(struct net_config, name) },
    { "mac", VALUE_PARSED, IN(struct net_config, mac), .parse = net_parse_mac },
    { 0 },
};

/* The identifier has 20 bytes (virtio 1.2, 5.2.6), and guests make file names of it. */
static const char *check_disk(const void *object)
{
    const struct options_disk *disk = object;

    if (strlen(disk->serial) > 20)
        return "a serial number has at most 20 characters";
    for (const char *at = disk->serial; *at; at++) {
        if (*at <= ' ' || *at > '~' || *at == '/')
            return "a serial number is of printable ASCII without spaces and slashes";
    }
    return NULL;
}

static const struct value_choice tiers[] = { { "step", WIRE_TIER_STEP },
                                             { "soft", WIRE_TIER_SOFT },
                                             { 0 } };
static const struct value_choice accelerators[] = { { "auto", ACCELERATOR_AUTO },
                                                    { "origami", ACCELERATOR_ORIGAMI },
                                                    { "kvm", ACCELERATOR_KVM },
                                                    { 0 } };
static const struct value_choice clocks[] = { { "real", false }, { "instructions", true }, { 0 } };

const struct option_field option_table[] = {
    { "config", VALUE_FILE, OPTION(config), .command_line_only = true, .argument = "FILE",
      .help = "take these options from a JSON file (docs/config.md); what is\n"
              "given here as well replaces what the file says" },
    { "kernel", VALUE_FILE, OPTION(kernel), .argument = "FILE",
      .help = "bzImage, ELF with a PVH note, or multiboot 1 kernel" },
    { "initrd", VALUE_FILE, OPTION(initrd), .argument = "FILE",
      .help = "initial RAM disk (bzImage, PVH)" },
    { "cmdline", VALUE_TEXT, OPTION(cmdline), .argument = "TEXT",
      .help = "kernel command line (for Linux, if none is given:\n"
              "console=ttyS0)" },
    { "append", VALUE_TEXT, OPTION(cmdline), .alias = true }, /* QEMU's name */
    { "module", VALUE_OBJECT, OPTIONS(module), .part = module_parts, .plural = "modules",
      .argument = "FILE[,ARGS]", .help = "boot module (multiboot, PVH); up to 32 times" },
    { "memory", VALUE_SIZE, OPTION(memory), .minimum = 1 << 20, .maximum = UINT64_MAX,
      .multiple = 4096, .argument = "SIZE",
      .wanted = "a size such as 512M or 4G, at least 1M, in multiples of 4K",
      .help = "guest memory, 1M to 512G, suffix K, M, G or T; a bare number\n"
              "counts MiB; default 512M. Pages are taken from the host when\n"
              "the guest touches them; more than the host's memory and swap\n"
              "together is refused" },
    { "cpus", VALUE_NUMBER, OPTION(cpus), .minimum = 1, .maximum = 1, .argument = "N",
      .wanted = "only 1 so far (several CPUs are not there yet)",
      .help = "number of CPUs; only 1 so far" },
    { "accel", VALUE_CHOICE, OPTION(accelerator), .choice = accelerators,
      .wanted = "auto, origami or kvm", .argument = "NAME",
      .help = "what runs the guest's code: origami, the engine of this\n"
              "program (default); kvm, the host's /dev/kvm; auto: kvm if there\n"
              "is one that runs guest code on the CPU, else origami, and why" },
    { "tier", VALUE_CHOICE, OPTION(tier), .choice = tiers, .wanted = "step or soft",
      .argument = "TIER",
      .help = "how instructions are run: soft, translated in blocks\n"
              "(default), or step, one at a time: the reference, about 10\n"
              "times slower" },
    { "clock", VALUE_CHOICE, OPTION(instructions), .choice = clocks,
      .wanted = "real or instructions", .argument = "CLOCK",
      .help = "real: the guest's time is the host's (default);\n"
              "instructions: it counts executed instructions, and runs repeat\n"
              "exactly" },
    { "disk", VALUE_OBJECT, OPTIONS(disk), .part = disk_parts, .check = check_disk,
      .plural = "disks", .argument = "FILE[,ro][,serial=S]",
      .help = "virtio disk: a raw image or a block device; `ro`: the guest\n"
              "cannot write; up to 16 times" },
    { "net", VALUE_OBJECT, OPTION(net), .part = net_parts, .check = net_check,
      .argument = "MODE[,...]",
      .help = "virtio network card: none (default); user, a network of its own\n"
              "without any privilege, DHCP and DNS included; tap, a device of\n"
              "the host's.\n"
              "user[,forward=tcp|udp:[ADDRESS:]HOSTPORT:GUESTPORT]...\n"
              "    [,host-loopback=on]: forward ports of the host (127.0.0.1, if\n"
              "    no address is given) to the guest; let the guest reach the\n"
              "    host's own loopback at 10.0.2.2\n"
              "tap,name=DEVICE\n"
              "both: [,mac=52:54:00:12:34:56]" },
    { "console", VALUE_FLAG, OPTION(console),
      .help = "virtio console (hvc0), on the terminal beside ttyS0" },
    { "rng", VALUE_FLAG, OPTION(rng), .help = "virtio random number generator" },
    { "balloon", VALUE_FLAG, OPTION(balloon),
      .help = "virtio memory balloon: the guest can give memory back" },
    { "balloon-size", VALUE_SIZE, OPTION(balloon_size), .maximum = UINT64_MAX, .multiple = 4096,
      .argument = "SIZE", .wanted = "a size such as 64M, in multiples of 4K",
      .help = "how much it is asked to give back from the start; default 0" },
    { "debug-exit", VALUE_FLAG, OPTION(debug_exit),
      .help = "a debug-exit device at port 0xf4: writing v ends the run with\n"
              "status (v << 1) | 1" },
    { "no-reboot", VALUE_FLAG, OPTION(no_reboot),
      .help = "a guest's reboot ends the run with status 0" },
    { "record", VALUE_FILE, OPTION(record), .command_line_only = true, .argument = "FILE",
      .help = "write down all that the guest is given from outside, so that\n"
              "the run can be repeated (docs/record.md); counts instructions" },
    { "replay", VALUE_FILE, OPTION(replay), .command_line_only = true, .argument = "FILE",
      .help = "repeat a recorded run: give the same kernel and options" },
    { "stats", VALUE_FILE, OPTION(statistics), .argument = "FILE",
      .help = "write counters, times and state hashes as JSON at the end" },
    /* Which program runs is not for a file that may come from anywhere. */
    { "engine", VALUE_FILE, OPTION(engine), .command_line_only = true, .argument = "FILE",
      .help = "the engine program, if not the one beside this program;\n"
              "statically linked" },
    { "help", VALUE_FLAG, OPTION(help), .command_line_only = true, .help = "this text" },
    { "version", VALUE_FLAG, OPTION(version), .command_line_only = true, .help = "the version" },
    { 0 },
};
