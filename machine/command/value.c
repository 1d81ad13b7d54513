/* SPDX-License-Identifier: MIT */
/* value.c - reading one value from text: scalars, objects in one string, lists by repetition. */
#include "value.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "valueinternal.h"

int setting_fail(struct setting *setting, const char *format, ...)
{
    char message[sizeof(setting->problem->text)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (!setting->file)
        return problem_set(setting->problem, STATUS_USAGE, EINVAL,
                           "%s: %s (see origami run --help)", setting->path, message);
    return problem_set(setting->problem, STATUS_USAGE, EINVAL, "%s: %s%s%s", setting->file,
                       setting->path, setting->path[0] ? ": " : "", message);
}

int setting_no_memory(struct setting *setting)
{
    return problem_set(setting->problem, STATUS_HOST, ENOMEM, "no memory");
}

void setting_enter(struct setting *setting, const char *name, long index)
{
    size_t used = strlen(setting->path);

    if (index >= 0)
        snprintf(setting->path + used, sizeof(setting->path) - used, "[%ld]", index);
    else
        snprintf(setting->path + used, sizeof(setting->path) - used, "%s%s", used ? "." : "", name);
}

int value_append(struct setting *setting, const struct option_field *field, void *base,
                 void **element)
{
    *element = (uint8_t *)base + field->offset;
    if (field->count_offset == VALUE_ONE)
        return 0;
    unsigned *count = (unsigned *)(void *)((uint8_t *)base + field->count_offset);
    if (*count >= field->list_max)
        return setting_fail(setting, "more than %u of them", field->list_max);
    *element = (uint8_t *)*element + *count * field->size;
    memset(*element, 0, field->size);
    ++*count;
    return 0;
}

/* ---- Scalars ---- */

static int store_text(struct setting *setting, const struct option_field *field, void *at,
                      const char *text)
{
    const char *kept;

    if (field->kind == VALUE_FILE && !*text)
        return setting_fail(setting, "empty file name");
    if (field->kind == VALUE_FILE && *text != '/' && setting->directory && *setting->directory) {
        size_t size = strlen(setting->directory) + strlen(text) + 1;
        char *joined = malloc(size);
        if (!joined)
            return setting_no_memory(setting);
        snprintf(joined, size, "%s%s", setting->directory, text);
        kept = options_keep(setting->options, joined);
        free(joined);
    } else {
        kept = options_keep(setting->options, text);
    }
    if (!kept)
        return setting_no_memory(setting);
    memcpy(at, &kept, sizeof(kept));
    return 0;
}

static int store_choice(struct setting *setting, const struct option_field *field, void *at,
                        const char *text)
{
    for (const struct value_choice *choice = field->choice; choice->name; choice++) {
        if (strcmp(choice->name, text) != 0)
            continue;
        uint8_t narrow = (uint8_t)choice->value;
        if (field->size == sizeof(narrow))
            memcpy(at, &narrow, sizeof(narrow));
        else
            memcpy(at, &choice->value, sizeof(choice->value));
        return 0;
    }
    return setting_fail(setting, "%s, not %s", field->wanted, text);
}

int value_store_number(struct setting *setting, const struct option_field *field, void *at,
                       uint64_t value, const char *text)
{
    if (value < field->minimum || value > field->maximum ||
        (field->multiple && value % field->multiple))
        return setting_fail(setting, "%s, not %s", field->wanted, text);
    uint32_t narrow = (uint32_t)value;
    if (field->kind == VALUE_SIZE)
        memcpy(at, &value, sizeof(value));
    else
        memcpy(at, &narrow, sizeof(narrow));
    return 0;
}

static int number_from_text(struct setting *setting, const struct option_field *field, void *at,
                            const char *text)
{
    uint64_t value = 0;
    int result = 0;

    if (field->kind == VALUE_SIZE) {
        result = options_size(text, &value);
        if (result == -ERANGE)
            return setting_fail(setting, "too large: %s", text);
    } else {
        char *end;
        errno = 0;
        value = strtoul(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno)
            result = -EINVAL;
    }
    if (result)
        return setting_fail(setting, "%s, not %s", field->wanted, text);
    return value_store_number(setting, field, at, value, text);
}

static int flag_from_text(struct setting *setting, void *at, const char *text)
{
    bool on = !text || !strcmp(text, "on");

    if (!on && strcmp(text, "off") != 0)
        return setting_fail(setting, "on or off, not %s", text);
    memcpy(at, &on, sizeof(on));
    return 0;
}

int value_scalar(struct setting *setting, const struct option_field *field, void *at,
                 const char *text)
{
    const char *wrong;

    if (field->kind == VALUE_FLAG)
        return flag_from_text(setting, at, text);
    if (!text)
        return setting_fail(setting, "needs a value");
    switch (field->kind) {
    case VALUE_TEXT:
    case VALUE_FILE:
        return store_text(setting, field, at, text);
    case VALUE_CHOICE:
        return store_choice(setting, field, at, text);
    case VALUE_PARSED:
        wrong = field->parse(at, text);
        return wrong ? setting_fail(setting, "%s: %s", wrong, text) : 0;
    default:
        return number_from_text(setting, field, at, text);
    }
}

int value_check_object(struct setting *setting, const struct option_field *field, void *object,
                       uint64_t seen)
{
    for (unsigned i = 0; field->part[i].name; i++) {
        const struct option_field *part = &field->part[i];
        if (part->required && !(seen >> i & 1))
            return setting_fail(setting, "no %s given", part->name);
        /* A text that was not given is an empty one. */
        if (part->kind == VALUE_TEXT && part->count_offset == VALUE_ONE && !(seen >> i & 1)) {
            const char *none = "";
            memcpy((uint8_t *)object + part->offset, &none, sizeof(none));
        }
    }
    const char *wrong = field->check ? field->check(object) : NULL;
    return wrong ? setting_fail(setting, "%s", wrong) : 0;
}

/* ---- Objects in one string ---- */

/* Cuts the next piece off *text, which becomes NULL at the end. Two commas stand for one. */
static char *next_piece(char **text)
{
    char *piece = *text, *to = piece;

    for (char *from = piece;; from++) {
        if (*from == ',' && from[1] == ',') {
            from++;
        } else if (*from == ',' || !*from) {
            *text = *from ? from + 1 : NULL;
            *to = 0;
            return piece;
        }
        *to++ = *from;
    }
}

static int object_piece(struct setting *setting, const struct option_field *field, void *object,
                        char *piece, uint64_t *seen)
{
    char *value = strchr(piece, '=');

    if (value)
        *value++ = 0;
    for (unsigned i = 0; field->part[i].name; i++) {
        const struct option_field *part = &field->part[i];
        if (strcmp(part->name, piece) != 0)
            continue;
        if (*seen >> i & 1 && part->count_offset == VALUE_ONE)
            return setting_fail(setting, "%s is given twice", part->name);
        *seen |= 1ull << i;
        size_t used = strlen(setting->path);
        snprintf(setting->path + used, sizeof(setting->path) - used, " %s", part->name);
        int result = value_from_text(setting, part, object, value);
        setting->path[used] = 0;
        return result;
    }
    return setting_fail(setting, "no such part: %s", piece);
}

static int object_from_text(struct setting *setting, const struct option_field *field, void *object,
                            char *text)
{
    uint64_t seen = 1;
    int result = value_from_text(setting, &field->part[0], object, next_piece(&text));

    for (unsigned i = 1; result == 0 && text; i++) {
        if (field->part[i].name && field->part[i].rest) {
            seen |= 1ull << i;
            result = value_from_text(setting, &field->part[i], object, text);
            break;
        }
        result = object_piece(setting, field, object, next_piece(&text), &seen);
    }
    return result ? result : value_check_object(setting, field, object, seen);
}

int value_from_text(struct setting *setting, const struct option_field *field, void *base,
                    const char *text)
{
    void *at;
    int result = value_append(setting, field, base, &at);

    if (result || field->kind != VALUE_OBJECT)
        return result ? result : value_scalar(setting, field, at, text);
    char *copy = strdup(text ? text : "");
    if (!copy)
        return setting_no_memory(setting);
    result = object_from_text(setting, field, at, copy);
    free(copy);
    return result;
}
