/* SPDX-License-Identifier: MIT */
/* Library: see library.h. */
#include "library.h"
#include "places.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".isa"

static bool has_suffix(const char *name)
{
    size_t length = strlen(name);

    return length > strlen(SUFFIX) && strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static bool is_listed(const struct library *library, const char *name, size_t length)
{
    for (unsigned i = 0; i < library->count; i++)
        if (strlen(library->entries[i].name) == length &&
            strncmp(library->entries[i].name, name, length) == 0)
            return true;
    return false;
}

static int add(struct library *library, const char *folder, const char *file)
{
    size_t length = strlen(file) - strlen(SUFFIX);
    struct library_entry *entries;
    struct library_entry entry = { 0 };

    if (is_listed(library, file, length))
        return 0;
    entries = realloc(library->entries, (library->count + 1) * sizeof(*entries));
    if (entries == NULL)
        return -ENOMEM;
    library->entries = entries;
    entry.name = strndup(file, length);
    if (entry.name == NULL || asprintf(&entry.path, "%s/%s", folder, file) < 0) {
        free(entry.name);
        return -ENOMEM;
    }
    entries[library->count++] = entry;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct library_entry *)a)->name, ((const struct library_entry *)b)->name);
}

int library_read(struct library *library)
{
    char folder[PATH_MAX];
    int error = 0;

    memset(library, 0, sizeof(*library));
    for (unsigned i = 0; error == 0; i++) {
        int found = places_descriptions(i, folder, sizeof(folder));
        struct dirent *file;
        DIR *files;

        if (found == -ENOENT)
            break;
        files = found == 0 ? opendir(folder) : NULL;
        if (files == NULL)
            continue;
        while (error == 0 && (file = readdir(files)) != NULL)
            if (has_suffix(file->d_name) && file->d_name[0] != '.')
                error = add(library, folder, file->d_name);
        (void)closedir(files);
    }
    if (library->count != 0)
        qsort(library->entries, library->count, sizeof(*library->entries), by_name);
    return error;
}

void library_release(struct library *library)
{
    for (unsigned i = 0; i < library->count; i++) {
        free(library->entries[i].name);
        free(library->entries[i].path);
    }
    free(library->entries);
    memset(library, 0, sizeof(*library));
}

int library_find(const char *name, char *path, size_t size)
{
    size_t length = strlen(name) - (has_suffix(name) ? strlen(SUFFIX) : 0);
    struct library library;
    int error = library_read(&library);

    for (unsigned i = 0; i < library.count && error == 0; i++) {
        const struct library_entry *entry = &library.entries[i];

        if (strlen(entry->name) != length || strncmp(entry->name, name, length) != 0)
            continue;
        error = strlen(entry->path) < size ? 1 : -ENOENT;
        if (error == 1)
            (void)snprintf(path, size, "%s", entry->path);
    }
    library_release(&library);
    return error == 1 ? 0 : error == 0 ? -ENOENT : error;
}
