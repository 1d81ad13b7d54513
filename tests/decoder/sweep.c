/* SPDX-License-Identifier: MIT */
/* sweep.c - see sweep.h. */
#include "sweep.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int sweep_image(const uint8_t *image, size_t size, sweep_function *function, void *context)
{
    Elf64_Ehdr header;

    if (size < sizeof(header))
        return -ENOEXEC;
    memcpy(&header, image, sizeof(header));
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof(Elf64_Phdr))
        return -ENOEXEC;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        uint64_t at = header.e_phoff + i * sizeof(segment);

        if (at > size || size - at < sizeof(segment))
            return -ENOEXEC;
        memcpy(&segment, image + at, sizeof(segment));
        if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X))
            continue;
        if (segment.p_offset > size || size - segment.p_offset < segment.p_filesz)
            return -ENOEXEC;
        function(context, image + segment.p_offset, segment.p_filesz);
    }
    return 0;
}

int sweep_file(const char *path, sweep_function *function, void *context)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), status;
    struct stat stat;
    void *image;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &stat) || stat.st_size <= 0) {
        close(fd);
        return -ENOEXEC;
    }
    image = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (image == MAP_FAILED)
        return -ENOEXEC;
    status = sweep_image(image, (size_t)stat.st_size, function, context);
    munmap(image, (size_t)stat.st_size);
    return status;
}
