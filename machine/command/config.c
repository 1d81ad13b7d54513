/* SPDX-License-Identifier: MIT */
/*
 * config.c - reading the file of --config. A first pass looks at the text only: nesting (cJSON
 * calls itself for each level), and characters that C strings would hide. What is left is cJSON's
 * to parse and the table's to judge.
 */
#include "config.h"
#include "../run/files.h"
#include "value.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int no_json(const char *path, unsigned line, const char *what, struct problem *problem)
{
    return problem_set(problem, STATUS_INPUT, EINVAL, "%s: line %u: %s", path, line, what);
}

/* One character inside a string; *at moves over an escape. NULL, or what is wrong. */
static const char *scan_string(const char *text, size_t size, size_t *at, bool *inside)
{
    char c = text[*at];

    if (c == '"') {
        *inside = false;
    } else if (c == '\\') {
        if (size - *at > 5 && !memcmp(text + *at, "\\u0000", 6))
            return "a string holds a NUL character";
        ++*at;
    } else if ((unsigned char)c < 0x20) {
        return "a string is not closed, or holds a control character";
    }
    return NULL;
}

/* One character outside of strings. */
static const char *scan_structure(char c, unsigned *line, unsigned *depth, bool *inside)
{
    switch (c) {
    case 0:
        return "a NUL character";
    case '\n':
        ++*line;
        return NULL;
    case '"':
        *inside = true;
        return NULL;
    case '{':
    case '[':
        return ++*depth > CONFIG_DEPTH_MAX ? "nested more than 8 levels deep" : NULL;
    case '}':
    case ']':
        *depth -= *depth > 0;
        return NULL;
    default:
        return NULL;
    }
}

static int scan(const char *path, const char *text, size_t size, struct problem *problem)
{
    unsigned depth = 0, line = 1;
    bool inside = false;
    const char *wrong = NULL;

    for (size_t at = 0; at < size && !wrong; at++) {
        if (inside)
            wrong = scan_string(text, size, &at, &inside);
        else
            wrong = scan_structure(text[at], &line, &depth, &inside);
    }
    return wrong ? no_json(path, line, wrong, problem) : 0;
}

static unsigned line_of(const char *text, const char *end)
{
    unsigned line = 1;

    for (; text < end; text++)
        line += *text == '\n';
    return line;
}

/* "dir/vm.json": files named in it are looked for in "dir/". */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strndup(path, slash ? (size_t)(slash + 1 - path) : 0);
}

int config_parse(struct options *options, const char *path, const char *text, size_t size,
                 struct problem *problem)
{
    const char *end = text;
    int result = scan(path, text, size, problem);

    if (result)
        return result;
    cJSON *root = cJSON_ParseWithLengthOpts(text, size, &end, false);
    while (root && end < text + size && strchr(" \t\r\n", *end))
        end++;
    if (!root || end < text + size) {
        result = no_json(path, line_of(text, end), "not JSON", problem);
        cJSON_Delete(root);
        return result;
    }
    char *directory = directory_of(path);
    struct setting setting = {
        .options = options, .problem = problem, .file = path, .directory = directory
    };
    if (directory)
        result = value_from_object(&setting, option_table, options, root);
    else
        result = problem_set(problem, STATUS_HOST, ENOMEM, "no memory");
    free(directory);
    cJSON_Delete(root);
    return result;
}

int config_read(struct options *options, const char *path, struct problem *problem)
{
    struct bytes bytes;
    int result = files_read(path, CONFIG_SIZE_MAX, &bytes, problem);

    if (result == -EFBIG)
        return problem_set(problem, STATUS_INPUT, EFBIG, "%s: larger than 1 MiB", path);
    if (result)
        return result;
    result = config_parse(options, path, (const char *)bytes.data, bytes.size, problem);
    files_free(&bytes);
    return result;
}
