/* SPDX-License-Identifier: MIT */
/* Description: the arena and the look-ups; the parser fills it. */
#include "description.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    _Alignas(max_align_t) unsigned char bytes[];
};

/* A generous multiple of what the largest hand-written description needs. */
static const size_t arena_limit = (size_t)64 << 20;
static const size_t arena_chunk_size = (size_t)64 << 10;

void *description_allocate(struct isa_description *description, size_t size)
{
    struct arena_chunk *chunk = description->arena;
    void *result;

    if (size > arena_limit || description->arena_used > arena_limit - size)
        return NULL;
    size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t wanted = size > arena_chunk_size ? size : arena_chunk_size;

        chunk = calloc(1, sizeof(*chunk) + wanted);
        if (chunk == NULL)
            return NULL;
        chunk->size = wanted;
        chunk->next = description->arena;
        description->arena = chunk;
    }
    result = chunk->bytes + chunk->used;
    chunk->used += size;
    description->arena_used += size;
    return result;
}

char *description_copy_text(struct isa_description *description, const char *text, size_t length)
{
    char *copy = description_allocate(description, length + 1);

    if (copy != NULL)
        memcpy(copy, text, length);
    return copy;
}

void description_release(struct isa_description *description)
{
    if (description == NULL)
        return;
    while (description->arena != NULL) {
        struct arena_chunk *next = description->arena->next;

        free(description->arena);
        description->arena = next;
    }
    free(description);
}

static struct isa_cell *find_resource(struct isa_description *description, const char *name,
                                      size_t length)
{
    for (unsigned i = 0; i < description->cell_count; i++) {
        struct isa_cell *cell = &description->cells[i];

        if ((cell->role == ROLE_RESOURCE || cell->role == ROLE_CLOCK) &&
            strlen(cell->name) == length && memcmp(cell->name, name, length) == 0)
            return cell;
    }
    return NULL;
}

int description_choose_resources(struct isa_description *description, const char *list,
                                 const char **unknown)
{
    bool all = list != NULL && strcmp(list, "all") == 0;

    for (unsigned i = 0; i < description->cell_count; i++) {
        struct isa_cell *cell = &description->cells[i];

        cell->counted = cell->role == ROLE_RESOURCE && (all || (list == NULL && !cell->optional));
    }
    if (list == NULL || all || strcmp(list, "none") == 0)
        return 0;
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        struct isa_cell *cell = find_resource(description, list, length);

        if (cell == NULL) {
            *unknown = list;
            return -ENOENT;
        }
        cell->counted = true;
        list += length + (list[length] == ',');
    }
    return 0;
}

const struct isa_instruction *
description_find_instruction(const struct isa_description *description, const char *name)
{
    for (unsigned i = 0; i < description->instruction_count; i++)
        if (strcmp(description->instructions[i]->name, name) == 0)
            return description->instructions[i];
    return NULL;
}

const struct isa_cell *description_cell_at(const struct isa_description *description,
                                           uint32_t value, uint32_t *element)
{
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (value >= cell->offset && value - cell->offset < cell->count) {
            *element = value - cell->offset;
            return cell;
        }
    }
    return NULL;
}

const char *description_value_name(const struct isa_cell *cell, uint64_t value)
{
    for (unsigned i = 0; i < cell->name_count; i++)
        if (cell->names[i].value == value)
            return cell->names[i].name;
    return NULL;
}

const char *description_mode_name(const struct isa_description *description, uint64_t mode)
{
    const char *name = NULL;

    if (description->mode_cell >= 0)
        name = description_value_name(&description->cells[description->mode_cell], mode);
    return name != NULL ? name : "?";
}

const char *role_name(enum isa_role role)
{
    static const char *const names[] = {
        [ROLE_USER] = "user",
        [ROLE_MODE] = "mode",
        [ROLE_PC] = "pc",
        [ROLE_RELOCATION] = "relocation",
        [ROLE_RESOURCE] = "resource",
        [ROLE_CLOCK] = "clock",
        [ROLE_MEMORY] = "memory",
    };
    return names[role];
}
