/* SPDX-License-Identifier: MIT */
/*
 * The picture of the sets: all, sensitive, privileged, and critical where sensitive leaves
 * privileged. Shapes take the size of the names in them, so that nothing ever overlaps.
 */
#include "html.h"
#include "columns.h"
#include "messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum region {
    REGION_CRITICAL, /* sensitive, not privileged */
    REGION_BOTH,
    REGION_PRIVILEGED, /* and not sensitive */
    REGION_NEITHER,
    REGION_UNDECIDED,
    REGION_COUNT,
};

enum {
    LINE = 20,     /* from one line of names to the next */
    CHARACTER = 8, /* width of one column of a name */
    NAME_GAP = 14, /* between names on a line */
    PAD = 20,      /* between a shape's border and its names */
    HEAD = 46,     /* a region's title */
    OFFSET = 12,   /* by which the two shapes miss each other */
    LABEL = 30,    /* a shape's name above it */
    RADIUS = 46,
    MARGIN = 22,
    WIDE = 1000,
    TALL = 400,
    LEAST_WIDTH = 200,
    LEAST_LINES = 2,
    MAX_SHOWN = 200, /* bytes of one name */
};

struct box {
    int x, y, width, height;
};

struct picture {
    const struct analysis *analysis;
    bool (*has_story)(const struct instruction_report *report);
    FILE *out;
    enum region *region; /* of each instruction */
    unsigned count[REGION_COUNT];
    struct box box[REGION_COUNT]; /* of the names, title included */
    struct box sensitive, privileged;
    int width, height;
};

static enum region region_of(const struct instruction_report *report)
{
    enum answer sensitive = report->is[CLASS_SENSITIVE], privileged = report->is[CLASS_PRIVILEGED];

    if (sensitive == ANSWER_UNDECIDED || privileged == ANSWER_UNDECIDED)
        return REGION_UNDECIDED;
    if (sensitive == ANSWER_YES)
        return privileged == ANSWER_YES ? REGION_BOTH : REGION_CRITICAL;
    return privileged == ANSWER_YES ? REGION_PRIVILEGED : REGION_NEITHER;
}

static int name_width(const char *name)
{
    return (int)columns_of(name) * CHARACTER;
}

/* As much of a name as `width` has room for, with an ellipsis where that is not all. */
static void shorten(const char *name, int width, char shown[MAX_SHOWN])
{
    size_t room = MAX_SHOWN - 4, used = 0;
    int columns = width / CHARACTER;
    bool whole = (int)columns_of(name) <= columns && strlen(name) <= room;

    while (*name != '\0') {
        uint32_t character;
        size_t length = columns_character(name, &character);
        char one[8] = "";

        memcpy(one, name, length);
        columns -= (int)columns_of(one);
        if (used + length > room || columns < (whole ? 0 : 1))
            break;
        memcpy(shown + used, name, length);
        used += length;
        name += length;
    }
    memcpy(shown + used, whole ? "" : "\xe2\x80\xa6", whole ? 1 : 4);
}

static void write_name(struct picture *picture, unsigned index, int x, int y, int width)
{
    const struct instruction_report *report = &picture->analysis->reports[index];
    bool link = picture->has_story(report);
    char shown[MAX_SHOWN];

    shorten(report->instruction->name, width, shown);
    if (link)
        fprintf(picture->out, "<a href=\"#i-%u\">", index);
    fprintf(picture->out, "<text class=\"name\" x=\"%d\" y=\"%d\"><title>", x, y);
    html_text(report->instruction->name, picture->out);
    if (report->instruction->summary != NULL) {
        fputs(": ", picture->out);
        html_text(report->instruction->summary, picture->out);
    }
    fputs("</title>", picture->out);
    html_text(shown, picture->out);
    fputs(link ? "</text></a>\n" : "</text>\n", picture->out);
}

/* Places the names of a region in lines of `width`; writes them when asked. The number of lines. */
static int flow(struct picture *picture, enum region region, struct box box, bool write)
{
    int x = 0, lines = 1;

    for (unsigned i = 0; i < picture->analysis->report_count; i++) {
        int length = name_width(picture->analysis->reports[i].instruction->name);

        if (picture->region[i] != region)
            continue;
        length = length > box.width ? box.width : length;
        if (x != 0 && x + length > box.width) {
            x = 0;
            lines++;
        }
        if (write)
            write_name(picture, i, box.x + x, box.y + HEAD + lines * LINE - 6, box.width);
        x += length + NAME_GAP;
    }
    return region < REGION_NEITHER && lines < LEAST_LINES ? LEAST_LINES : lines;
}

static int region_height(struct picture *picture, enum region region, int width)
{
    return HEAD + LINE * flow(picture, region, (struct box){ .width = width }, false) + 8;
}

static int region_size(const struct picture *picture, enum region region)
{
    int size = 0;

    for (unsigned i = 0; i < picture->analysis->report_count; i++)
        if (picture->region[i] == region)
            size += name_width(picture->analysis->reports[i].instruction->name) + NAME_GAP;
    return size;
}

static bool is_nested(const struct picture *picture)
{
    return picture->count[REGION_CRITICAL] == 0;
}

/* Widths of the three regions in a row: each as its names need, none too narrow. */
static void divide(const struct picture *picture, int room, int width[3])
{
    int size[3], sum = 0, first = is_nested(picture) ? 1 : 0, given = 0;

    width[0] = 0;
    for (int i = first; i < 3; i++) {
        size[i] = region_size(picture, (enum region)i);
        sum += size[i] > 0 ? size[i] : 1;
    }
    room -= (3 - first) * LEAST_WIDTH;
    for (int i = first; i < 3; i++) {
        width[i] = LEAST_WIDTH + room * (size[i] > 0 ? size[i] : 1) / sum;
        given += width[i] - LEAST_WIDTH;
    }
    width[2] += room - given;
}

/* Left to right: critical, both, privileged. Returns where the shapes end. */
static int lay_out_row(struct picture *picture, int top)
{
    int width[3], height = 0, x = MARGIN + PAD, y = top + LABEL;
    bool nested = is_nested(picture);

    divide(picture, picture->width - 2 * MARGIN - (nested ? 5 : 6) * PAD, width);
    for (int i = nested ? 1 : 0; i < 3; i++) {
        int needs = region_height(picture, (enum region)i, width[i]);

        height = needs > height ? needs : height;
        picture->box[i] = (struct box){ x, y + OFFSET, width[i], 0 };
        x += width[i] + 2 * PAD;
    }
    if (nested) {
        picture->box[REGION_BOTH].x += PAD / 2;
        picture->sensitive = (struct box){ picture->box[REGION_BOTH].x - PAD, y + OFFSET,
                                           width[1] + 2 * PAD, height };
        picture->privileged =
            (struct box){ MARGIN, y, picture->width - 2 * MARGIN, height + 2 * OFFSET };
        picture->box[REGION_PRIVILEGED].x += PAD / 2;
        return y + height + 2 * OFFSET;
    }
    picture->sensitive = (struct box){ MARGIN, y, width[0] + width[1] + 4 * PAD, height + OFFSET };
    picture->privileged = (struct box){ picture->box[REGION_BOTH].x - PAD, y + OFFSET,
                                        picture->width - MARGIN - picture->box[REGION_BOTH].x + PAD,
                                        height + OFFSET };
    return y + height + 2 * OFFSET;
}

/* Top to bottom, for narrow screens. */
static int lay_out_column(struct picture *picture, int top)
{
    int inner = picture->width - 2 * MARGIN - 2 * PAD - 2 * OFFSET, y = top + LABEL;
    bool nested = is_nested(picture);
    int start = y;

    for (int i = nested ? 1 : 0; i < 3; i++) {
        picture->box[i] = (struct box){ MARGIN + PAD + OFFSET, y, inner,
                                        region_height(picture, (enum region)i, inner) };
        y += picture->box[i].height + 2 * OFFSET;
    }
    picture->sensitive = (struct box){ MARGIN, start, inner + 2 * PAD + OFFSET,
                                       picture->box[REGION_PRIVILEGED].y - start - OFFSET };
    picture->privileged =
        (struct box){ MARGIN + OFFSET, picture->box[REGION_BOTH].y - OFFSET,
                      inner + 2 * PAD + OFFSET, y - picture->box[REGION_BOTH].y + OFFSET };
    if (nested) {
        picture->sensitive.x += OFFSET;
        picture->sensitive.y += 4;
        picture->sensitive.height -= 4;
        picture->sensitive.width -= OFFSET;
        picture->privileged = (struct box){ MARGIN, start - OFFSET, inner + 2 * PAD + 2 * OFFSET,
                                            y - start + OFFSET };
    }
    return y;
}

static void write_shape(const struct box *box, const char *class, FILE *out)
{
    fprintf(out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\"/>\n",
            class, box->x, box->y, box->width, box->height,
            box->height < 2 * RADIUS ? box->height / 2 : RADIUS);
}

static void write_label(const char *class, int x, int y, const char *text, const char *anchor,
                        FILE *out)
{
    fprintf(out, "<text class=\"%s\" x=\"%d\" y=\"%d\" text-anchor=\"%s\">", class, x, y, anchor);
    html_text(text, out);
    fputs("</text>\n", out);
}

static void write_region(struct picture *picture, enum region region)
{
    static const struct {
        const char *title, *gloss;
    } titles[REGION_COUNT] = {
        [REGION_CRITICAL] = { N_("critical"), N_("sensitive only") },
        [REGION_BOTH] = { N_("sensitive and privileged"), N_("a monitor interprets them") },
        [REGION_PRIVILEGED] = { N_("privileged only"), N_("innocuous, trap anyway") },
        [REGION_NEITHER] = { N_("neither"), N_("innocuous: a monitor lets them run") },
        [REGION_UNDECIDED] = { N_("undecided"), N_("the solver gave up") },
    };
    const struct box *box = &picture->box[region];
    bool critical = region == REGION_CRITICAL;
    char title[128];

    (void)snprintf(title, sizeof(title), "%s: %u", _(titles[region].title), picture->count[region]);
    write_label(critical ? "title critical" : "title", box->x, box->y + 20, title, "start",
                picture->out);
    write_label("soft", box->x, box->y + 37, _(titles[region].gloss), "start", picture->out);
    fprintf(picture->out, "<g class=\"%s\">\n", critical ? "critical" : "others");
    (void)flow(picture, region, *box, true);
    fputs("</g>\n", picture->out);
}

static void write_set_labels(struct picture *picture)
{
    unsigned sensitive = picture->count[REGION_CRITICAL] + picture->count[REGION_BOTH];
    unsigned privileged = picture->count[REGION_BOTH] + picture->count[REGION_PRIVILEGED];
    bool tall = picture->width == TALL;
    char text[128];

    if (is_nested(picture))
        (void)snprintf(text, sizeof(text), _("sensitive: %u, critical: none"), sensitive);
    else
        (void)snprintf(text, sizeof(text), _("sensitive: %u"), sensitive);
    write_label("title",
                (is_nested(picture) ? picture->privileged.x : picture->sensitive.x) + RADIUS / 2,
                (is_nested(picture) ? picture->privileged.y : picture->sensitive.y) - 8, text,
                "start", picture->out);
    (void)snprintf(text, sizeof(text), _("privileged: %u"), privileged);
    if (tall)
        write_label("title", picture->privileged.x + picture->privileged.width - RADIUS / 2,
                    picture->privileged.y + picture->privileged.height + 18, text, "end",
                    picture->out);
    else
        write_label("title", picture->privileged.x + picture->privileged.width - RADIUS / 2,
                    picture->privileged.y - 8, text, "end", picture->out);
}

static void write_picture(struct picture *picture, bool tall)
{
    int top = MARGIN + 14, y;
    char text[128];

    picture->width = tall ? TALL : WIDE;
    y = tall ? lay_out_column(picture, top + 8) + LABEL : lay_out_row(picture, top + 8) + 10;
    for (int i = REGION_NEITHER; i <= REGION_UNDECIDED; i++) {
        struct box *box = &picture->box[i];

        if (i == REGION_UNDECIDED && picture->count[i] == 0)
            continue;
        *box = (struct box){ MARGIN + PAD, y, picture->width - 2 * (MARGIN + PAD), 0 };
        box->height = region_height(picture, (enum region)i, box->width);
        y += box->height + 12;
    }
    picture->height = y + 8;
    fprintf(picture->out,
            "<svg class=\"%s\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "xmlns=\"http://www.w3.org/2000/svg\">\n<title>%s</title>\n",
            tall ? "tall" : "wide", picture->width, picture->height,
            _("The sets of instructions: all, sensitive, privileged, critical"));
    fprintf(picture->out,
            "<rect class=\"all\" x=\"1\" y=\"1\" width=\"%d\" height=\"%d\" rx=\"14\"/>\n",
            picture->width - 2, picture->height - 2);
    (void)snprintf(text, sizeof(text), _("all instructions: %u"), picture->analysis->report_count);
    write_label("title", MARGIN, 25, text, "start", picture->out);
    if (is_nested(picture)) {
        write_shape(&picture->privileged, "privileged", picture->out);
        write_shape(&picture->sensitive, "sensitive", picture->out);
    } else {
        write_shape(&picture->sensitive, "sensitive", picture->out);
        write_shape(&picture->privileged, "privileged", picture->out);
    }
    write_set_labels(picture);
    for (int i = is_nested(picture) ? REGION_BOTH : REGION_CRITICAL; i < REGION_COUNT; i++)
        if (i != REGION_UNDECIDED || picture->count[i] != 0)
            write_region(picture, (enum region)i);
    fputs("</svg>\n", picture->out);
}

int html_picture(const struct analysis *analysis,
                 bool (*has_story)(const struct instruction_report *report), FILE *out)
{
    struct picture picture = { .analysis = analysis, .has_story = has_story, .out = out };

    picture.region = calloc(analysis->report_count + 1, sizeof(*picture.region));
    if (picture.region == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < analysis->report_count; i++) {
        picture.region[i] = region_of(&analysis->reports[i]);
        picture.count[picture.region[i]]++;
    }
    write_picture(&picture, false);
    write_picture(&picture, true);
    free(picture.region);
    return 0;
}
