/* SPDX-License-Identifier: MIT */
/* Terminal: see terminal.h. */
#include "terminal.h"
#include "columns.h"
#include "messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INDENT = 2, GAP = 2 };

bool terminal_has_colour(FILE *out)
{
    const char *refused = getenv("NO_COLOR"), *kind = getenv("TERM");

    return isatty(fileno(out)) && (refused == NULL || *refused == '\0') && kind != NULL &&
           strcmp(kind, "dumb") != 0;
}

/* Widths of the columns: the name, then before and after of each state. */
static void measure(const struct story_table *table, unsigned width[5])
{
    unsigned both;

    memset(width, 0, 5 * sizeof(*width));
    for (unsigned i = 0; i < table->count; i++) {
        unsigned length = columns_of(table->rows[i].name);

        width[0] = length > width[0] ? length : width[0];
        for (unsigned j = 0; j < 2 * table->states; j++) {
            length = columns_of(table->rows[i].value[j]);
            width[j + 1] = length > width[j + 1] ? length : width[j + 1];
        }
    }
    for (unsigned i = 0; i < table->states; i++) {
        const char *const names[] = { _("before"), _("after") };

        for (unsigned j = 0; j < 2; j++)
            if (columns_of(names[j]) > width[2 * i + j + 1])
                width[2 * i + j + 1] = columns_of(names[j]);
        both = width[2 * i + 1] + GAP + width[2 * i + 2];
        if (columns_of(table->title[i]) > both)
            width[2 * i + 2] += columns_of(table->title[i]) - both;
    }
}

static void gap(unsigned columns, FILE *out)
{
    fprintf(out, "%*s", (int)columns, "");
}

static void print_titles(const struct story_table *table, const unsigned width[5], FILE *out)
{
    gap(INDENT + 2 + width[0] + GAP, out);
    for (unsigned i = 0; i < table->states; i++)
        columns_pad(table->title[i],
                    i + 1 < table->states ? width[2 * i + 1] + width[2 * i + 2] + 3 * GAP : 0, out);
    fputc('\n', out);
    gap(INDENT + 2 + width[0] + GAP, out);
    for (unsigned i = 0; i < 2 * table->states; i++) {
        bool last = i + 1 == 2 * table->states;

        columns_pad(i % 2 == 0 ? _("before") : _("after"),
                    last ? 0 : width[i + 1] + (i % 2 == 1 ? 2 * GAP : GAP), out);
    }
    fputc('\n', out);
}

static void print_row(const struct story_row *row, const unsigned width[5], unsigned states,
                      bool colour, FILE *out)
{
    bool bright = colour && row->differs;

    gap(INDENT, out);
    fputs(bright ? "\033[1;31m" : "", out);
    fputs(row->differs ? "> " : "  ", out);
    columns_pad(row->name, width[0] + GAP, out);
    for (unsigned i = 0; i < 2 * states; i++) {
        bool last = i + 1 == 2 * states && !row->differs;

        columns_pad(row->value[i], last ? 0 : width[i + 1] + (i % 2 == 1 ? 2 * GAP : GAP), out);
    }
    if (row->differs)
        fputs(_("<- here"), out);
    fputs(bright ? "\033[0m\n" : "\n", out);
}

static int print_witness(const struct story *story, const struct witness *witness, bool colour,
                         FILE *out)
{
    struct story_table table;
    unsigned width[5];
    int error = story_table_build(story->description, witness, &table);

    if (error != 0)
        return error;
    measure(&table, width);
    fputc('\n', out);
    if (table.input[0] != '\0')
        fprintf(out, "%*s%s: %s\n", INDENT + 2, "", _("operands"), table.input);
    print_titles(&table, width, out);
    for (unsigned i = 0; i < table.count; i++)
        print_row(&table.rows[i], width, table.states, colour, out);
    if (table.rest_zero)
        fprintf(out, "%*s%s\n", INDENT + 2, "", _("Everything else is 0."));
    fputc('\n', out);
    story_table_release(&table);
    return 0;
}

static void print_source(const char *text, FILE *out)
{
    fputc('\n', out);
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        fprintf(out, "%*s%.*s\n", 2 * INDENT, "", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

int terminal_print_story(const struct story *story, bool colour, FILE *out)
{
    int error = 0;

    for (unsigned i = 0; i < story->count && error == 0; i++) {
        const struct story_part *part = &story->parts[i];

        switch (part->kind) {
        case STORY_HEADING:
            fprintf(out, "\n%s%s%s\n", colour ? "\033[1m" : "", part->text,
                    colour ? "\033[0m" : "");
            break;
        case STORY_PARAGRAPH:
            gap(INDENT, out);
            columns_wrap(part->text, INDENT, INDENT, TERMINAL_WIDTH, out);
            break;
        case STORY_ITEM:
            fprintf(out, "%*s%s: ", INDENT, "", part->term);
            columns_wrap(part->text, INDENT + columns_of(part->term) + 2, 2 * INDENT,
                         TERMINAL_WIDTH, out);
            break;
        case STORY_SOURCE:
            print_source(part->text, out);
            break;
        case STORY_WITNESS:
            error = print_witness(story, part->witness, colour, out);
            break;
        }
    }
    return error;
}
