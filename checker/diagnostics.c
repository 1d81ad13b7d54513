/* SPDX-License-Identifier: MIT */
/* Diagnostics: recording the first error and printing it with its source line. */
#include "diagnostics.h"
#include "messages.h"

#include <stdarg.h>
#include <string.h>

enum { LONGEST_LINE_SHOWN = 160 };

void diagnostics_error(struct diagnostics *diagnostics, struct source_position at,
                       const char *format, ...)
{
    va_list arguments;

    if (diagnostics->failed)
        return;
    diagnostics->failed = true;
    diagnostics->at = at;
    va_start(arguments, format);
    (void)vsnprintf(diagnostics->message, sizeof(diagnostics->message), gettext(format), arguments);
    va_end(arguments);
}

static void print_source_line(const struct diagnostics *diagnostics, FILE *out)
{
    const char *line = diagnostics->text;
    const char *end = diagnostics->text + diagnostics->text_length;
    uint32_t number = 1;

    while (number < diagnostics->at.line) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));

        if (newline == NULL)
            return;
        line = newline + 1;
        number++;
    }
    fputs("  ", out);
    for (const char *c = line; c < end && *c != '\n' && c - line < LONGEST_LINE_SHOWN; c++)
        fputc((unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c, out);
    fputc('\n', out);
    if (diagnostics->at.column <= LONGEST_LINE_SHOWN)
        fprintf(out, "  %*s\n", (int)diagnostics->at.column, "^");
}

void diagnostics_print(const struct diagnostics *diagnostics, FILE *out)
{
    const char *path = diagnostics->path != NULL ? diagnostics->path : "<input>";

    if (!diagnostics->failed)
        return;
    fprintf(out, _("%s:%u:%u: error: %s\n"), path, diagnostics->at.line, diagnostics->at.column,
            diagnostics->message);
    if (diagnostics->text != NULL)
        print_source_line(diagnostics, out);
    if (diagnostics->expanded)
        fprintf(out, _("%s:%u:%u: note: in the expansion of '%s'\n"), path,
                diagnostics->used_at.line, diagnostics->used_at.column, diagnostics->used_name);
}
