/* SPDX-License-Identifier: MIT */
/* image.c - opening, checking and locking disk images. */
#include "image.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 100 /* 10 ms each */

static int refuse(struct problem *problem, const char *file, int error, const char *why)
{
    return problem_set(problem, STATUS_INPUT, error, "disk %s: %s", file, why);
}

static int check_kind(struct image *image, const char *file, struct problem *problem)
{
    struct stat status;

    if (fstat(image->fd, &status) != 0)
        return refuse(problem, file, errno, strerror(errno));
    image->device = S_ISBLK(status.st_mode);
    if (image->device && ioctl(image->fd, BLKGETSIZE64, &image->size) != 0)
        return refuse(problem, file, errno, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return refuse(problem, file, EISDIR, "is a directory, not a disk image");
    if (!image->device && !S_ISREG(status.st_mode))
        return refuse(problem, file, EINVAL, "is neither a file nor a block device");
    if (!image->device)
        image->size = (uint64_t)status.st_size;
    if (image->size < IMAGE_SECTOR)
        return refuse(problem, file, EINVAL,
                      image->size ? "is shorter than one sector of 512 bytes" : "is empty");
    if (image->size % IMAGE_SECTOR)
        return problem_set(problem, STATUS_INPUT, EINVAL,
                           "disk %s: its size, %" PRIu64 " bytes, is no multiple of 512", file,
                           image->size);
    return 0;
}

/*
 * The kernel takes an io_uring down, and with it the file it knows, a moment after its process has
 * ended: until then a write of that process may still be under way, and the lock rightly holds. So
 * who comes right after it waits a little.
 */
static int lock(const struct image *image, const char *file, struct problem *problem)
{
    struct flock range = { .l_type = image->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
    const struct timespec moment = { .tv_nsec = 10000000 };

    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (fcntl(image->fd, F_OFD_SETLK, &range) == 0)
            return 0;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            break;
        int error = errno;
        nanosleep(&moment, NULL);
        errno = error;
    }
    if (errno == EAGAIN || errno == EACCES)
        return refuse(problem, file, EBUSY,
                      image->read_only ? "another machine is writing to it"
                                       : "is in use by a machine (or given twice)");
    if (errno == EINVAL || errno == ENOLCK || errno == EOPNOTSUPP)
        return refuse(problem, file, errno, "this file system has no locks to keep others out");
    return refuse(problem, file, errno, strerror(errno));
}

int image_open(struct image *image, const char *file, bool read_only, struct problem *problem)
{
    struct stat status;
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int result;

    *image = (struct image){ .fd = -1, .read_only = read_only };
    if (!read_only && stat(file, &status) == 0 && S_ISBLK(status.st_mode))
        flags |= O_EXCL;
    image->fd = open(file, flags);
    if (image->fd < 0 && errno == EBUSY)
        return refuse(problem, file, EBUSY, "the device is in use (mounted?)");
    if (image->fd < 0 && errno == EISDIR)
        return refuse(problem, file, EISDIR, "is a directory, not a disk image");
    if (image->fd < 0 && (errno == EACCES || errno == EROFS) && !read_only &&
        access(file, R_OK) == 0)
        return refuse(problem, file, errno, "may only be read: add ,ro");
    if (image->fd < 0)
        return refuse(problem, file, errno, strerror(errno));
    result = check_kind(image, file, problem);
    if (result == 0)
        result = lock(image, file, problem);
    if (result)
        image_close(image);
    return result;
}

void image_close(struct image *image)
{
    if (image->fd >= 0)
        close(image->fd);
    image->fd = -1;
}
