/* SPDX-License-Identifier: MIT */
/* valuejson.c - reading values from JSON by the table of options. */
#include "valueinternal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHOLE_MAX 9007199254740992.0 /* 2^53: whole numbers above are not exact in JSON */

static const char *type_name(const cJSON *item)
{
    if (cJSON_IsObject(item))
        return "an object";
    if (cJSON_IsArray(item))
        return "an array";
    if (cJSON_IsString(item))
        return "a string";
    if (cJSON_IsNumber(item))
        return "a number";
    return cJSON_IsBool(item) ? "true or false" : "null";
}

static int wrong_type(struct setting *setting, const char *wanted, const cJSON *item)
{
    return setting_fail(setting, "must be %s, not %s", wanted, type_name(item));
}

static int number_from_json(struct setting *setting, const struct option_field *field, void *at,
                            const cJSON *item)
{
    double value = item->valuedouble;
    char text[32];

    snprintf(text, sizeof(text), "%.15g", value);
    if (!(value >= 0 && value < WHOLE_MAX) || value != (double)(uint64_t)value)
        return setting_fail(setting, "must be a whole number, not %s", text);
    uint64_t whole = (uint64_t)value;
    if (field->kind == VALUE_SIZE) { /* MiB, as on the command line */
        if (whole > UINT64_MAX >> 20)
            return setting_fail(setting, "too large: %s", text);
        whole <<= 20;
    }
    return value_store_number(setting, field, at, whole, text);
}

static int scalar_from_json(struct setting *setting, const struct option_field *field, void *at,
                            const cJSON *item)
{
    switch (field->kind) {
    case VALUE_FLAG:
        if (!cJSON_IsBool(item))
            return wrong_type(setting, "true or false", item);
        return value_scalar(setting, field, at, cJSON_IsTrue(item) ? "on" : "off");
    case VALUE_NUMBER:
        if (!cJSON_IsNumber(item))
            return wrong_type(setting, "a number", item);
        return number_from_json(setting, field, at, item);
    case VALUE_SIZE:
        if (cJSON_IsNumber(item))
            return number_from_json(setting, field, at, item);
        if (!cJSON_IsString(item))
            return wrong_type(setting, "a size such as \"512M\" or a number of MiB", item);
        return value_scalar(setting, field, at, item->valuestring);
    default:
        if (!cJSON_IsString(item))
            return wrong_type(setting, "a string", item);
        return value_scalar(setting, field, at, item->valuestring);
    }
}

static const struct option_field *find_field(const struct option_field *fields, const char *name,
                                             unsigned *index)
{
    for (*index = 0; fields[*index].name; ++*index) {
        const struct option_field *field = &fields[*index];
        if (!field->alias && !strcmp(option_file_name(field), name))
            return field;
    }
    return NULL;
}

/* The members of an object; *seen gets a bit for each field given. */
static int members(struct setting *setting, const struct option_field *fields, void *base,
                   const cJSON *object, uint64_t *seen)
{
    size_t used = strlen(setting->path);
    int result = 0;

    for (const cJSON *item = object->child; item && result == 0; item = item->next) {
        unsigned index;
        const struct option_field *field = find_field(fields, item->string, &index);
        setting_enter(setting, item->string, -1);
        if (!field)
            result = setting_fail(setting, "unknown field");
        else if (field->command_line_only)
            result = setting_fail(setting, "for the command line only");
        else if (*seen >> index & 1)
            result = setting_fail(setting, "given twice");
        else
            result = value_from_json(setting, field, base, item);
        if (result == 0)
            *seen |= 1ull << index;
        setting->path[used] = 0;
    }
    return result;
}

int value_from_object(struct setting *setting, const struct option_field *fields, void *base,
                      const cJSON *object)
{
    uint64_t seen = 0;

    if (!cJSON_IsObject(object))
        return wrong_type(setting, "an object", object);
    return members(setting, fields, base, object, &seen);
}

static int element_from_json(struct setting *setting, const struct option_field *field, void *at,
                             const cJSON *item)
{
    uint64_t seen = 0;

    if (field->kind != VALUE_OBJECT)
        return scalar_from_json(setting, field, at, item);
    if (!cJSON_IsObject(item))
        return wrong_type(setting, "an object", item);
    int result = members(setting, field->part, at, item, &seen);
    return result ? result : value_check_object(setting, field, at, seen);
}

int value_from_json(struct setting *setting, const struct option_field *field, void *base,
                    const cJSON *item)
{
    size_t used = strlen(setting->path);
    long index = 0;
    void *at;
    int result;

    if (field->count_offset == VALUE_ONE) {
        result = value_append(setting, field, base, &at);
        return result ? result : element_from_json(setting, field, at, item);
    }
    if (!cJSON_IsArray(item))
        return wrong_type(setting, "an array", item);
    for (const cJSON *element = item->child; element; element = element->next) {
        setting_enter(setting, NULL, index++);
        result = value_append(setting, field, base, &at);
        if (result == 0)
            result = element_from_json(setting, field, at, element);
        if (result)
            return result;
        setting->path[used] = 0;
    }
    return 0;
}
