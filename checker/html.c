/* SPDX-License-Identifier: MIT */
/* HTML: escaping, and a story as elements. See html.h. */
#include "html.h"
#include "columns.h"
#include "messages.h"

#include <errno.h>
#include <string.h>

/* What XML may hold, without the control characters that a terminal or a reader acts on. */
static bool is_plain(uint32_t character)
{
    if (character == UINT32_MAX || character == 0xfffe || character == 0xffff)
        return false;
    if (character == '\n' || character == '\t')
        return true;
    if (character < 0x20 || (character >= 0x7f && character < 0xa0))
        return false;
    /* Marks that change the direction of what follows. */
    return !((character >= 0x202a && character <= 0x202e) ||
             (character >= 0x2066 && character <= 0x2069));
}

void html_text(const char *text, FILE *out)
{
    while (*text != '\0') {
        uint32_t character;
        size_t length = columns_character(text, &character);

        switch (character) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            if (is_plain(character))
                (void)fwrite(text, 1, length, out);
            else
                fputs("\xef\xbf\xbd", out);
            break;
        }
        text += length;
    }
}

static void element(const char *name, const char *text, FILE *out)
{
    fprintf(out, "<%s>", name);
    html_text(text, out);
    fprintf(out, "</%s>\n", name);
}

static void write_titles(const struct story_table *table, FILE *out)
{
    fputs("<thead><tr><td></td>", out);
    for (unsigned i = 0; i < table->states; i++) {
        fputs("<th colspan=\"2\" scope=\"colgroup\">", out);
        html_text(table->title[i], out);
        fputs("</th>", out);
    }
    fputs("</tr>\n<tr><td></td>", out);
    for (unsigned i = 0; i < table->states; i++)
        fprintf(out, "<th scope=\"col\">%s</th><th scope=\"col\">%s</th>", _("before"), _("after"));
    fputs("</tr></thead>\n", out);
}

static int write_witness(const struct story *story, const struct witness *witness, FILE *out)
{
    struct story_table table;
    int error = story_table_build(story->description, witness, &table);

    if (error != 0)
        return error;
    fputs("<div class=\"scroll\"><table class=\"states\">\n", out);
    if (table.input[0] != '\0') {
        fprintf(out, "<caption>%s: ", _("operands"));
        html_text(table.input, out);
        fputs("</caption>\n", out);
    }
    write_titles(&table, out);
    fputs("<tbody>\n", out);
    for (unsigned i = 0; i < table.count; i++) {
        const struct story_row *row = &table.rows[i];

        fputs(row->differs ? "<tr class=\"differs\"><th scope=\"row\">" : "<tr><th scope=\"row\">",
              out);
        html_text(row->name, out);
        fputs("</th>", out);
        for (unsigned j = 0; j < 2 * table.states; j++) {
            fputs(j == 2 ? "<td class=\"other\">" : "<td>", out);
            html_text(row->value[j], out);
            fputs("</td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    if (table.rest_zero)
        fprintf(out, "<p class=\"small\">%s</p>\n", _("Everything else is 0."));
    story_table_release(&table);
    return 0;
}

int html_story(const struct story *story, FILE *out)
{
    int error = 0;
    bool list = false;

    for (unsigned i = 0; i < story->count && error == 0; i++) {
        const struct story_part *part = &story->parts[i];

        if (list != (part->kind == STORY_ITEM))
            fputs(list ? "</dl>\n" : "<dl>\n", out);
        list = part->kind == STORY_ITEM;
        switch (part->kind) {
        case STORY_HEADING:
            element("h4", part->text, out);
            break;
        case STORY_PARAGRAPH:
            element("p", part->text, out);
            break;
        case STORY_ITEM:
            element("dt", part->term, out);
            element("dd", part->text, out);
            break;
        case STORY_SOURCE:
            element("pre", part->text, out);
            break;
        case STORY_WITNESS:
            error = write_witness(story, part->witness, out);
            break;
        }
    }
    if (list)
        fputs("</dl>\n", out);
    return error;
}
