/* SPDX-License-Identifier: MIT */
/*
 * container_profile [--user ID] [--hide-kvm] [--seccomp] [--probe] COMMAND [ARGUMENT]...
 *
 * Runs a command as restricted as in a default container:
 *   --user ID    as that user and group, without further groups (needs root)
 *   --hide-kvm   in a mount namespace of its own where /dev/kvm is /dev/null
 *   --seccomp    without capabilities, with no_new_privs, under an allow list with the effect of
 * Docker's default seccomp profile (moby, profiles/seccomp/default.json, as of Docker 25 and later:
 * it refuses io_uring too) on a machine where no capability is granted: what the profile allows
 * only with a capability is refused
 *   --probe      first checks from the inside that the restrictions hold; says so on standard
 * output A failure of its own ends it with status 125.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KVM_GET_API_VERSION 0xae00ul
#define NAMESPACE_FLAGS                                                                            \
    0x7e020000u /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
#define OWN_FAILURE 125

static const char *const allowed[] = {
#include "container_calls.def"
};

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "container_profile: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(OWN_FAILURE);
}

static void rule(scmp_filter_ctx context, const char *name, unsigned count,
                 struct scmp_arg_cmp argument)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR)
        return;
    if (seccomp_rule_add(context, SCMP_ACT_ALLOW, number, count, argument) != 0)
        fail("seccomp rule for %s", name);
}

static void install_profile(void)
{
    static const unsigned personalities[] = { 0, 8, 0x20000, 0x20008, 0xffffffffu };
    const struct scmp_arg_cmp none = { 0 };
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));

    if (!context)
        fail("seccomp: no memory");
    for (unsigned i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        rule(context, allowed[i], 0, none);
    for (unsigned i = 0; i < sizeof(personalities) / sizeof(personalities[0]); i++)
        rule(context, "personality", 1, SCMP_A0(SCMP_CMP_EQ, personalities[i], 0));
    rule(context, "socket", 1, SCMP_A0(SCMP_CMP_NE, 40, 0)); /* AF_VSOCK */
    rule(context, "clone", 1, SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACE_FLAGS, 0));
    /* Its flags lie in memory, where a filter cannot look: the C library must fall back to clone.
     */
    if (seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0 ||
        seccomp_load(context) != 0)
        fail("seccomp: cannot install the profile");
    seccomp_release(context);
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];

    memset(data, 0, sizeof(data));
    /* The bounding set may be emptied by root only; for others no_new_privs does the same. */
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
        syscall(SYS_capset, &header, data) != 0)
        fail("cannot drop capabilities: %s", strerror(errno));
}

static void hide_kvm(void)
{
    struct stat info;

    if (stat("/dev/kvm", &info) != 0)
        return; /* nothing to hide */
    /* Without root the namespace needs a user namespace around it. */
    if (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("/dev/null", "/dev/kvm", NULL, MS_BIND, NULL) != 0)
        fail("cannot hide /dev/kvm: %s", strerror(errno));
}

static void become(const char *text)
{
    unsigned id = (unsigned)strtoul(text, NULL, 10);

    if (!id || setgroups(0, NULL) != 0 || setresgid(id, id, id) != 0 || setresuid(id, id, id) != 0)
        fail("cannot become user %s: %s", text, strerror(errno));
}

/* ---- Do the restrictions hold? ---- */

static void probe_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) >= 0)
        fail("/dev/kvm still works");
    if (fd >= 0)
        close(fd);
    printf("probe: /dev/kvm does not work\n");
}

static void probe_user(void)
{
    if (geteuid() == 0 || setuid(0) == 0)
        fail("still root");
    printf("probe: user %u\n", (unsigned)geteuid());
}

static void refused(const char *name, long result)
{
    if (result >= 0 || errno != EPERM)
        fail("%s was not refused (%ld, %s)", name, result,
             result < 0 ? strerror(errno) : "success");
}

static void probe_seccomp(void)
{
    refused("userfaultfd", syscall(SYS_userfaultfd, 0));
    refused("userfaultfd, user mode only", syscall(SYS_userfaultfd, 1));
    refused("io_uring_setup", syscall(SYS_io_uring_setup, 0, NULL));
    refused("io_uring_enter", syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0));
    refused("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    refused("add_key", syscall(SYS_add_key, NULL, NULL, NULL, 0, 0));
    refused("bpf", syscall(SYS_bpf, 0, NULL, 0));
    refused("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0));
    refused("mount", syscall(SYS_mount, "", "/", "", 0, NULL));
    refused("unshare", syscall(SYS_unshare, CLONE_NEWUSER));
    refused("clone of a user namespace",
            syscall(SYS_clone, CLONE_NEWUSER | 17, NULL, NULL, NULL, NULL));
    refused("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    refused("personality 0x40000", syscall(SYS_personality, ADDR_NO_RANDOMIZE));
    refused("iopl", syscall(SYS_iopl, 0));
    refused("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0));
    if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS)
        fail("clone3 is there");
    printf("probe: the seccomp profile holds\n");
}

int main(int argc, char **argv)
{
    const char *user = NULL;
    bool kvm = false, seccomp = false, probe = false;
    int at = 1;

    for (; at < argc && !strncmp(argv[at], "--", 2); at++) {
        if (!strcmp(argv[at], "--user") && at + 1 < argc)
            user = argv[++at];
        else if (!strcmp(argv[at], "--hide-kvm"))
            kvm = true;
        else if (!strcmp(argv[at], "--seccomp"))
            seccomp = true;
        else if (!strcmp(argv[at], "--probe"))
            probe = true;
        else
            fail("unknown option %s", argv[at]);
    }
    if (kvm)
        hide_kvm();
    if (user)
        become(user);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail("no_new_privs: %s", strerror(errno));
    if (seccomp) {
        drop_capabilities();
        install_profile();
    }
    if (probe && kvm)
        probe_kvm();
    if (probe && user)
        probe_user();
    if (probe && seccomp)
        probe_seccomp();
    fflush(stdout);
    if (at == argc)
        return 0;
    execv(argv[at], argv + at);
    fail("%s: %s", argv[at], strerror(errno));
}
