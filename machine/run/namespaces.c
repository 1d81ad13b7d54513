/* SPDX-License-Identifier: MIT */
/* namespaces.c - unshare, an empty root, no capabilities. */
#include "namespaces.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A directory that every Linux has, to mount the new root on; what is in it does not matter. */
#define PLACE "/proc"

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return good;
}

/* We are who we were, and nobody else exists (user_namespaces(7)). */
static void map_ids(uid_t user, gid_t group)
{
    char text[64];

    snprintf(text, sizeof(text), "%u %u 1", user, user);
    bool good =
        write_file("/proc/self/uid_map", text) && write_file("/proc/self/setgroups", "deny");
    snprintf(text, sizeof(text), "%u %u 1", group, group);
    /* Without a map we own files as nobody, which changes nothing for those that are open. */
    if (good && !write_file("/proc/self/gid_map", text))
        return;
}

static bool keep_resolver(void)
{
    static const char from[] = "/etc/resolv.conf", to[] = PLACE "/etc/resolv.conf";
    int fd;

    if (mkdir(PLACE "/etc", 0755) != 0)
        return false;
    fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
    if (fd < 0)
        return false;
    close(fd);
    return mount(from, to, NULL, MS_BIND, NULL) == 0;
}

/* An empty file system, read-only, in the place of all others. */
static bool empty_root(bool resolver)
{
    const unsigned long locked = MS_NOSUID | MS_NODEV | MS_NOEXEC;

    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    /* The file is looked up before its place is covered, should one lie in the other. */
    if (mount("none", PLACE, "tmpfs", locked, "size=64k,mode=0755") != 0)
        return false;
    if (resolver && !keep_resolver())
        resolver = false; /* then names are not looked up: the guest has its addresses still */
    if (mount(NULL, PLACE, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | locked, NULL) != 0)
        return false;
    return chdir(PLACE) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
           umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2];

    memset(none, 0, sizeof(none));
    syscall(SYS_capset, &header, none);
}

unsigned namespaces_enter(const struct namespaces_needs *needs)
{
    uid_t user = geteuid();
    gid_t group = getegid();
    unsigned entered = 0;

    if (unshare(CLONE_NEWUSER) != 0)
        return 0;
    entered |= NAMESPACE_USER;
    map_ids(user, group);
    if (!needs->sockets && unshare(CLONE_NEWNET) == 0)
        entered |= NAMESPACE_NETWORK;
    if (!needs->files && unshare(CLONE_NEWNS) == 0 && empty_root(needs->sockets))
        entered |= NAMESPACE_MOUNT;
    drop_capabilities();
    return entered;
}
