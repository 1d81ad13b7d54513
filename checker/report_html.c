/* SPDX-License-Identifier: MIT */
/* The report as one page: question and answer, picture, table, stories, what was proved for. */
#include "html.h"
#include "messages.h"
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Nothing may be loaded or run, whatever a description manages to put into the page. */
#define POLICY "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"

static const char *answer_class(enum answer answer)
{
    return answer == ANSWER_YES ? "yes" : answer == ANSWER_NO ? "no" : "maybe";
}

/* Stories are told of what is not simply innocuous and well-behaved. */
static bool has_story(const struct instruction_report *report)
{
    return report->is[CLASS_SENSITIVE] != ANSWER_NO || report->is[CLASS_PRIVILEGED] != ANSWER_NO ||
           report->is[CLASS_PARTIAL] == ANSWER_YES || report->is[CLASS_COMMUTES] != ANSWER_YES;
}

static const char *title_of(const struct isa_description *description)
{
    return description->title != NULL ? description->title : description->name;
}

static void write_head(const struct analysis *analysis, FILE *out)
{
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"%s\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
            "<meta charset=\"utf-8\"/>\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"" POLICY "\"/>\n<title>",
            /* TRANSLATORS: the code of your language, such as ja, for the page's lang attribute. */
            _("en"));
    html_text(title_of(analysis->description), out);
    fprintf(out, " - %s</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n",
            _(verdict_names[analysis->verdict]), html_style);
}

static unsigned count_class(const struct analysis *analysis, enum instruction_class class)
{
    unsigned count = 0;

    for (unsigned i = 0; i < analysis->report_count; i++)
        count += analysis->reports[i].is[class] == ANSWER_YES;
    return count;
}

static void write_name(const struct analysis *analysis, unsigned index, FILE *out)
{
    const struct instruction_report *report = &analysis->reports[index];
    bool link = has_story(report);

    if (link)
        fprintf(out, "<a class=\"name\" href=\"#i-%u\">", index);
    else
        fputs("<span class=\"name\">", out);
    html_text(report->instruction->name, out);
    fputs(link ? "</a>" : "</span>", out);
}

static void write_critical(const struct analysis *analysis, FILE *out)
{
    unsigned critical = count_class(analysis, CLASS_CRITICAL);

    if (critical == 0)
        return;
    fputs("<p>", out);
    fprintf(out,
            ngettext("%u instruction stands in the way: sensitive, but not privileged.",
                     "%u instructions stand in the way: sensitive, but not privileged.", critical),
            critical);
    fputs("</p>\n<p class=\"names\">", out);
    for (unsigned i = 0; i < analysis->report_count; i++) {
        if (analysis->reports[i].is[CLASS_CRITICAL] != ANSWER_YES)
            continue;
        write_name(analysis, i, out);
        fputc('\n', out);
    }
    fputs("</p>\n", out);
}

static void write_conditions(const struct analysis *analysis, FILE *out)
{
    const struct instruction_report *report;
    unsigned next = 0;
    char line[512], text[640];

    while ((report = analysis_hybrid_condition(analysis, &next)) != NULL) {
        story_condition_line(analysis->description, report, line, sizeof(line));
        (void)snprintf(text, sizeof(text), _("Theorem 3 holds on a condition: %s.\n"), line);
        fputs("<p>", out);
        html_text(text, out);
        fputs("</p>\n", out);
    }
}

static void write_answer(const struct analysis *analysis, FILE *out)
{
    static const char *const verdict_classes[] = {
        [VERDICT_VIRTUALIZABLE] = "yes",
        [VERDICT_NOT_VIRTUALIZABLE] = "no",
        [VERDICT_NOT_APPLICABLE] = "maybe",
        [VERDICT_UNDECIDED] = "maybe",
    };
    static const char *const questions[] = {
        [MODE_CLASSIC] = N_("Can a virtual machine monitor be built for this machine?"),
        [MODE_HYBRID] = N_("Can a hybrid virtual machine monitor be built for this machine?"),
        [MODE_RECURSIVE] = N_("Is this machine recursively virtualizable?"),
    };

    fprintf(out, "<header>\n<p class=\"question\">%s</p>\n<h1>",
            _(questions[analysis->options.mode]));
    html_text(title_of(analysis->description), out);
    fprintf(out, "</h1>\n<p class=\"answer %s\">%s</p>\n", verdict_classes[analysis->verdict],
            _(verdict_names[analysis->verdict]));
    for (int i = 0; i < PREMISE_COUNT; i++)
        if (!analysis->premise[i]) {
            fputs("<p>", out);
            fprintf(out, _("  premise missing: %s\n"), _(premise_names[i]));
            fputs("</p>\n", out);
        }
    write_critical(analysis, out);
    if (analysis->reports != NULL) {
        fputs("<table class=\"theorems\"><tbody>\n", out);
        for (int i = 0; i < THEOREM_COUNT; i++)
            fprintf(out, "<tr><td>%s</td><td class=\"%s\">%s</td></tr>\n", _(theorem_names[i]),
                    answer_class(analysis->theorem[i]), _(answer_name(analysis->theorem[i])));
        fputs("</tbody></table>\n", out);
        write_conditions(analysis, out);
    }
    fputs("</header>\n", out);
}

static int write_sets(const struct analysis *analysis, FILE *out)
{
    fprintf(out, "<section>\n<h2>%s</h2>\n<p>%s</p>\n", _("The picture"),
            _("A monitor can be built when the sensitive instructions all lie within the "
              "privileged ones (Theorem 1). Every name leads to its story."));
    return html_picture(analysis, has_story, out) != 0
               ? -ENOMEM
               : (fputs("</section>\n", out) < 0 ? -ENOMEM : 0);
}

static const struct {
    enum instruction_class class;
    const char *title;
} columns[] = {
    { CLASS_PRIVILEGED, N_("privileged") }, { CLASS_CONTROL, N_("control") },
    { CLASS_LOCATION, N_("location") },     { CLASS_MODE, N_("mode") },
    { CLASS_RESOURCE, N_("resource") },     { CLASS_USER_SENSITIVE, N_("user-sensitive") },
    { CLASS_PARTIAL, N_("partial") },       { CLASS_COMMUTES, N_("traps or commutes") },
};

static void write_row(const struct analysis *analysis, unsigned index, FILE *out)
{
    static const char *const marks[] = {
        [ANSWER_NO] = "\xc2\xb7", [ANSWER_YES] = "\xe2\x97\x8f", [ANSWER_UNDECIDED] = "?"
    };
    const struct instruction_report *report = &analysis->reports[index];
    const char *class = "innocuous", *word = _("innocuous");

    if (report->is[CLASS_CRITICAL] == ANSWER_YES)
        class = "critical", word = _("critical");
    else if (report->is[CLASS_CRITICAL] == ANSWER_UNDECIDED)
        class = "undecided", word = _("undecided");
    else if (report->is[CLASS_PRIVILEGED] == ANSWER_YES)
        class = "privileged", word = _("privileged");
    fprintf(out, "<tr class=\"%s\"><th scope=\"row\">", class);
    write_name(analysis, index, out);
    fprintf(out, "</th><td class=\"class\">%s</td>", word);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        enum answer is = report->is[columns[i].class];

        fprintf(out, "<td title=\"%s: %s\">%s</td>", _(columns[i].title), _(answer_name(is)),
                marks[is]);
    }
    fputs("<td class=\"summary\">", out);
    html_text(report->instruction->summary != NULL ? report->instruction->summary : "", out);
    fputs("</td></tr>\n", out);
}

static void write_classes(const struct analysis *analysis, FILE *out)
{
    fprintf(out,
            "<section>\n<h2>%s</h2>\n<p class=\"small\">%s</p>\n<div class=\"scroll\">"
            "<table class=\"classes\">\n"
            "<thead><tr><th scope=\"col\">%s</th><th scope=\"col\">%s</th>",
            _("The classes"), _("\xe2\x97\x8f yes, \xc2\xb7 no, ? undecided"), _("instruction"),
            _("class"));
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        fprintf(out, "<th scope=\"col\">%s</th>", _(columns[i].title));
    fprintf(out, "<th scope=\"col\">%s</th></tr></thead>\n<tbody>\n", _("what it does"));
    for (unsigned i = 0; i < analysis->report_count; i++)
        write_row(analysis, i, out);
    fputs("</tbody></table></div>\n</section>\n", out);
}

static int write_story(const struct analysis *analysis, unsigned index, bool open, FILE *out)
{
    const struct instruction_report *report = &analysis->reports[index];
    struct story story;
    char line[512];
    int error = story_tell(analysis->description, report, NULL, &story);

    fprintf(out, "<details id=\"i-%u\"%s><summary><span class=\"name\">", index,
            open ? " open=\"open\"" : "");
    html_text(report->instruction->name, out);
    story_classes_line(report, line, sizeof(line));
    fputs("</span> <span class=\"small\">", out);
    html_text(line, out);
    fputs("</span></summary>\n", out);
    if (error == 0)
        error = html_story(&story, out);
    fputs("</details>\n", out);
    story_release(&story);
    return error;
}

/* Critical instructions first; the first story is open. */
static int write_stories(const struct analysis *analysis, FILE *out)
{
    bool open = true;
    int error = 0;

    fprintf(out, "<section>\n<h2>%s</h2>\n<p>%s</p>\n", _("The witnesses"),
            _("Every claim comes with concrete states, run again by an evaluator that shares "
              "nothing with the solver."));
    for (int critical = 1; critical >= 0; critical--) {
        for (unsigned i = 0; i < analysis->report_count && error == 0; i++) {
            const struct instruction_report *report = &analysis->reports[i];

            if (!has_story(report) || (report->is[CLASS_CRITICAL] == ANSWER_YES) != (critical == 1))
                continue;
            error = write_story(analysis, i, open, out);
            open = false;
        }
    }
    fputs("</section>\n", out);
    return error;
}

static int write_scope(const struct analysis *analysis, FILE *out)
{
    const struct isa_description *description = analysis->description;
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);

    if (memory == NULL)
        return -ENOMEM;
    report_scope(analysis, memory);
    if (fclose(memory) != 0) {
        free(text);
        return -ENOMEM;
    }
    fprintf(out, "<section>\n<h2>%s</h2>\n<pre class=\"scope\">", _("What was proved for"));
    html_text(text, out);
    free(text);
    fputs("</pre>\n", out);
    if (description->source_count != 0)
        fprintf(out, "<h4>%s</h4>\n<ul>\n", _("Sources"));
    for (unsigned i = 0; i < description->source_count; i++) {
        fputs("<li>", out);
        html_text(description->sources[i], out);
        fputs("</li>\n", out);
    }
    fputs(description->source_count != 0 ? "</ul>\n</section>\n" : "</section>\n", out);
    return 0;
}

int report_html(const struct analysis *analysis, FILE *out)
{
    int error = 0;

    write_head(analysis, out);
    write_answer(analysis, out);
    if (analysis->reports == NULL) {
        fprintf(out, "<p>%s</p>\n",
                _("The theorems speak about machines with two modes, relocation, traps and table "
                  "look-up.\n"));
    } else {
        error = write_sets(analysis, out);
        write_classes(analysis, out);
        if (error == 0)
            error = write_stories(analysis, out);
    }
    if (error == 0)
        error = write_scope(analysis, out);
    fprintf(out, "<footer><p class=\"small\">%s</p></footer>\n</main>\n</body>\n</html>\n",
            _("Made by origami check. G. J. Popek, R. P. Goldberg: Formal Requirements for "
              "Virtualizable Third Generation Architectures, CACM 17(7), 1974."));
    return error;
}
