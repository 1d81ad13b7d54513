/* SPDX-License-Identifier: MIT */
/* Places: see places.h. */
#include "places.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seen from the program's folder: a build tree, libexec/origami/, and bin/. */
static const char *const description_places[] = {
    "../isa",
    "../../share/origami/isa",
    "../share/origami/isa",
};
static const char *const catalog_places[] = {
    "po",
    "../../share/locale",
    "../share/locale",
};

/* A build tree that is not inside the source tree says in this file where the library is. */
#define LIBRARY_NOTE "checker/isa.path"

__attribute__((format(printf, 3, 4))) static int join(char *path, size_t size, const char *format,
                                                      ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(path, size, format, arguments);
    va_end(arguments);
    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

static int program_folder(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    if (length <= 0)
        return -ENOENT;
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return -ENOENT;
    *slash = '\0';
    return 0;
}

static int first_existing(const char *const *places, size_t count, char *path, size_t size)
{
    char folder[PATH_MAX];

    if (program_folder(folder, sizeof(folder)) != 0)
        return -ENOENT;
    for (size_t i = 0; i < count; i++)
        if (join(path, size, "%s/%s", folder, places[i]) == 0 && access(path, X_OK) == 0)
            return 0;
    return -ENOENT;
}

/* The index-th part of a list with colons between; empty parts count for nothing. */
static int part_of_list(const char *list, unsigned index, char *path, size_t size)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ":");

        if (length != 0 && index-- == 0)
            return join(path, size, "%.*s", (int)length, list);
        list += length + (list[length] == ':');
    }
    return -ENOENT;
}

static unsigned parts_of_list(const char *list)
{
    char path[PATH_MAX];
    unsigned count = 0;

    while (part_of_list(list, count, path, sizeof(path)) != -ENOENT)
        count++;
    return count;
}

static int read_note(char *path, size_t size)
{
    char folder[PATH_MAX], note[PATH_MAX + sizeof(LIBRARY_NOTE)];
    FILE *file;
    bool read;

    if (program_folder(folder, sizeof(folder)) != 0 ||
        join(note, sizeof(note), "%s/" LIBRARY_NOTE, folder) != 0)
        return -ENOENT;
    file = fopen(note, "r");
    if (file == NULL)
        return -ENOENT;
    read = fgets(path, (int)size, file) != NULL;
    (void)fclose(file);
    if (!read)
        return -ENOENT;
    path[strcspn(path, "\n")] = '\0';
    return access(path, X_OK) == 0 ? 0 : -ENOENT;
}

int places_descriptions(unsigned index, char *path, size_t size)
{
    const char *list = getenv("ORIGAMI_ISA_PATH");
    unsigned named = list != NULL ? parts_of_list(list) : 0;

    if (index < named)
        return part_of_list(list, index, path, size);
    if (index > named)
        return -ENOENT;
    if (read_note(path, size) == 0)
        return 0;
    return first_existing(description_places,
                          sizeof(description_places) / sizeof(description_places[0]), path, size);
}

int places_catalogs(char *path, size_t size)
{
    return first_existing(catalog_places, sizeof(catalog_places) / sizeof(catalog_places[0]), path,
                          size);
}
