/* SPDX-License-Identifier: MIT */
/* fuzz_config.c - the file of --config, against arbitrary contents. */
#include "command/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options *options = calloc(1, sizeof(*options));
    struct problem problem = { 0 };

    if (!options || size > CONFIG_SIZE_MAX)
        goto out;
    int result = config_parse(options, "vm.json", (const char *)data, size, &problem);
    if ((result != 0) != (problem.text[0] != 0) ||
        (result && problem.status != STATUS_INPUT && problem.status != STATUS_USAGE))
        abort(); /* fails with one line and a documented status, or not at all */
    options_free(options);
out:
    free(options);
    return 0;
}

#ifdef FUZZ_REPLAY
/* A file with every field, damaged in a few places each time. */
int main(int argc, char **argv)
{
    static const char good[] =
        "{\"kernel\": \"vmlinuz\", \"initrd\": \"initrd.img\", \"cmdline\": \"console=ttyS0 "
        "\\u00e9\","
        "\"modules\": [{\"file\": \"m\", \"arguments\": \"x,y\"}, {\"file\": \"/n\"}],"
        "\"memory\": \"1G\", \"cpus\": 1, \"tier\": \"soft\", \"clock\": \"real\","
        "\"accel\": \"auto\", \"disks\": [{\"file\": \"d\", \"ro\": true, \"serial\": \"S1\"}],"
        "\"net\": {\"mode\": \"user\", \"mac\": \"52:54:00:12:34:56\","
        "\"forward\": [\"tcp:8080:80\", \"udp:127.0.0.1:7:7\"], \"host-loopback\": true},"
        "\"debug-exit\": true, \"no-reboot\": false, \"stats\": \"s.json\"}";
    static const char characters[] = "{}[]\",:\\ue0123456789.-+tfn aTG\n";
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    uint64_t random = 0x9e3779b97f4a7c15ull;
    char data[sizeof(good)];

    for (long i = 0; i < count; i++) {
        memcpy(data, good, sizeof(good));
        for (unsigned edits = 0; edits < i % 4; edits++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            data[random % (sizeof(good) - 1)] =
                characters[(random >> 32) % (sizeof(characters) - 1)];
        }
        size_t size = i % 5 ? sizeof(good) - 1 : (size_t)(random >> 16) % sizeof(good);
        LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    }
    printf("%ld inputs\n", count);
    return 0;
}
#endif
