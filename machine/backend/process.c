/* SPDX-License-Identifier: MIT */
/* process.c - fork, confine, exec. */
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FD    3
#define PARKING_FD  64 /* descriptors wait above this while the final numbers are filled */
#define CLOSE_LIMIT 65536

static void close_from(int first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
        return;
#endif
    /* Older kernels, and containers that refuse the call. */
    struct rlimit limit;
    int end = CLOSE_LIMIT;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < CLOSE_LIMIT)
        end = (int)limit.rlim_cur;
    for (int fd = first; fd < end; fd++)
        close(fd);
}

/* Puts the descriptors at 3.., `report` and the program right after them, /dev/null at 0-2, and
 * closes the rest. */
static int place_descriptors(const struct process_config *config, int *report, int *program)
{
    int parked[PROCESS_FDS + 1];
    unsigned count = config->fd_count;
    int null = fcntl(config->null_fd, F_DUPFD, PARKING_FD);

    if (null < 0)
        return -errno;
    *program = fcntl(config->program_fd, F_DUPFD_CLOEXEC, PARKING_FD);
    if (*program < 0)
        return -errno;
    for (unsigned i = 0; i <= count; i++) {
        parked[i] = fcntl(i < count ? config->fd[i] : *report, F_DUPFD, PARKING_FD);
        if (parked[i] < 0)
            return -errno;
    }
    for (int fd = 0; fd < FIRST_FD; fd++) {
        if (dup2(null, fd) < 0)
            return -errno;
    }
    for (unsigned i = 0; i <= count; i++) {
        if (dup2(parked[i], FIRST_FD + (int)i) < 0)
            return -errno;
    }
    *report = FIRST_FD + (int)count;
    if (fcntl(*report, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    if (dup2(*program, *report + 1) < 0 || fcntl(*report + 1, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    *program = *report + 1;
    close_from(*program + 1);
    return 0;
}

static void restore_signals(void)
{
    sigset_t none;

    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: only async-signal-safe calls. What went wrong goes to `report` as an errno. */
static void __attribute__((noreturn))
child_main(const struct process_config *config, pid_t parent, int report)
{
    char *const no_arguments[] = { (char[]){ "origami-engine" }, NULL };
    char *const no_environment[] = { NULL };
    const struct rlimit no_core = { 0, 0 };
    int error = 0, program = -1;

    /* The terminal's signals (Ctrl-C with cooked input) are the machine's business. */
    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        error = errno;
    if (getppid() != parent)
        _exit(1); /* died before the request took effect */
    setrlimit(RLIMIT_CORE, &no_core);
    if (!error)
        error = -place_descriptors(config, &report, &program);
    if (!error) {
        restore_signals();
        syscall(SYS_execveat, program, "", no_arguments, no_environment, AT_EMPTY_PATH);
        error = errno;
    }
    if (write(report, &error, sizeof(error)) < 0)
        _exit(2);
    _exit(1);
}

/* Reads what the child says before its exec closes the pipe: nothing is good news. */
static int read_report(int fd)
{
    int error = 0;
    ssize_t size;

    do {
        size = read(fd, &error, sizeof(error));
    } while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof(error) ? error : 0;
}

int process_spawn(const struct process_config *config, pid_t *child, struct problem *problem)
{
    int report[2];

    if (config->fd_count > PROCESS_FDS)
        return problem_set(problem, STATUS_HOST, E2BIG, "too many descriptors for the engine");
    if (pipe2(report, O_CLOEXEC) != 0)
        return problem_set(problem, STATUS_HOST, errno, "cannot start the engine: %s",
                           strerror(errno));
    pid_t parent = getpid();
    *child = fork();
    if (*child == 0)
        child_main(config, parent, report[1]);
    int error = *child < 0 ? errno : 0;
    close(report[1]);
    if (!error)
        error = read_report(report[0]);
    close(report[0]);
    if (!error)
        return 0;
    if (*child > 0)
        waitpid(*child, NULL, 0);
    return problem_set(problem, STATUS_HOST, error, "cannot start %s: %s", config->program,
                       strerror(error));
}

/* Joins the parts into `path` if there is room and a program. */
#define PATH_PARTS 5
static bool try_path(char *path, size_t size, const char *const part[PATH_PARTS])
{
    size_t used = 0;

    for (unsigned i = 0; i < PATH_PARTS; i++) {
        size_t length = strlen(part[i]);
        if (length >= size - used)
            return false;
        memcpy(path + used, part[i], length + 1);
        used += length;
    }
    return access(path, X_OK) == 0;
}

int process_find(const char *name, const char *tree, char *path, size_t size,
                 struct problem *problem)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length > 0) {
        self[length] = 0;
        char *slash = strrchr(self, '/');
        if (slash)
            *slash = 0;
        const char *const places[][PATH_PARTS] = {
            { self, "", "", "/", name },
            { self, "/../libexec/origami", "", "/", name },
            { self, "/../", tree, "/", name },
        };
        for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            if (try_path(path, size, places[i]))
                return 0;
        }
    }
    return problem_set(problem, STATUS_HOST, ENOENT,
                       "%s not found beside this program or in ../libexec/origami", name);
}

void process_describe(int wait_status, char *text, size_t size)
{
    if (WIFSIGNALED(wait_status))
        snprintf(text, size, "was killed by signal %d (%s)%s", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)),
                 WTERMSIG(wait_status) == SIGSYS ? ": a system call its filter forbids" : "");
    else
        snprintf(text, size, "ended by itself with status %d", WEXITSTATUS(wait_status));
}
