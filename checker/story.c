/* SPDX-License-Identifier: MIT */
/* Story: see story.h. What the instruction does, its classes, and the states that prove them. */
#include "story.h"
#include "messages.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE_MAX_LINES = 40 };

void story_add(struct story *story, enum story_kind kind, const char *term, const char *text)
{
    struct story_part *parts = realloc(story->parts, (story->count + 1) * sizeof(*parts));
    struct story_part part = { .kind = kind };

    if (parts == NULL) {
        story->failed = true;
        return;
    }
    story->parts = parts;
    part.term = term != NULL ? strdup(term) : NULL;
    part.text = text != NULL ? strdup(text) : NULL;
    story->failed =
        story->failed || (term != NULL && part.term == NULL) || (text != NULL && part.text == NULL);
    parts[story->count++] = part;
}

static void story_add_formatted(struct story *story, enum story_kind kind, const char *term,
                                const char *format, va_list arguments)
{
    char *text = NULL;

    if (vasprintf(&text, format, arguments) < 0) {
        story->failed = true;
        return;
    }
    story_add(story, kind, term, text);
    free(text);
}

void story_say(struct story *story, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    story_add_formatted(story, STORY_PARAGRAPH, NULL, format, arguments);
    va_end(arguments);
}

void story_item(struct story *story, const char *term, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    story_add_formatted(story, STORY_ITEM, term, format, arguments);
    va_end(arguments);
}

static void add_witness(struct story *story, const struct witness *witness)
{
    unsigned count = story->count;

    story_add(story, STORY_WITNESS, NULL, NULL);
    if (story->count > count)
        story->parts[count].witness = witness;
}

/* The classes that have a definition worth telling, in the order of telling. */
static const struct class_words {
    enum instruction_class class;
    const char *term;
    const char *definition;
} class_words[] = {
    { CLASS_CONTROL, N_("control sensitive"),
      N_("In some state it runs to its end, without a trap, and changes the mode, the relocation "
         "or a counted resource: it reaches for what only a monitor may hand out.") },
    { CLASS_LOCATION, N_("location sensitive"),
      N_("Its result depends on where memory really lies: move a program, let it see the same "
         "memory contents through the map, and it computes something else.") },
    { CLASS_MODE, N_("mode sensitive"),
      N_("Its result depends on the mode: from states that are equal but for the mode it runs "
         "without a trap in both and leaves different results.") },
    { CLASS_RESOURCE, N_("resource sensitive"),
      N_("Its result depends on a counted resource: it shows, without a trap, what only a monitor "
         "should know. (This class is ours; the paper's machine has no such resources.)") },
    { CLASS_PRIVILEGED, N_("privileged"),
      N_("For every state: where neither mode takes a memory trap, it runs in supervisor mode and "
         "traps in user mode. So a monitor always learns of it.") },
    { CLASS_PARTIAL, N_("partially trapping"),
      N_("In user mode it traps in some states and runs in others. The paper asks for a trap in "
         "every state, so this is not enough to be privileged.") },
    { CLASS_USER_SENSITIVE, N_("user sensitive"),
      N_("It is sensitive already when it starts in user mode, by what it changes or by what it "
         "shows of location and resources. Theorem 3 asks about these only.") },
    { CLASS_INNOCUOUS, N_("innocuous"),
      N_("Not sensitive: no state exists where it touches or shows what a monitor holds. A monitor "
         "has nothing to fear from it.") },
};

static void tell_classes(struct story *story)
{
    const enum answer *is = story->report->is;

    story_add(story, STORY_HEADING, NULL, _("Its classes, and by which definition"));
    for (size_t i = 0; i < sizeof(class_words) / sizeof(class_words[0]); i++) {
        if (is[class_words[i].class] == ANSWER_YES)
            story_add(story, STORY_ITEM, _(class_words[i].term), _(class_words[i].definition));
        else if (is[class_words[i].class] == ANSWER_UNDECIDED)
            story_item(story, _(class_words[i].term), "%s",
                       _("Undecided: the solver gave up. More time may help (--timeout)."));
    }
    if (is[CLASS_PRIVILEGED] == ANSWER_NO &&
        story->report->found.answer[PROPERTY_COMPARABLE] == ANSWER_NO)
        story_item(story, _("not privileged"), "%s",
                   _("From every pair of states one mode or the other takes a memory trap. So it "
                     "never traps in the sense of the definition, which leaves memory traps out."));
    else if (is[CLASS_PRIVILEGED] == ANSWER_NO)
        story_item(story, _("not privileged"), "%s",
                   _("There is a state where it does not trap in user mode although it should, or "
                     "traps in supervisor mode as well."));
    if (is[CLASS_CRITICAL] == ANSWER_YES)
        story_item(story, _("critical"), "%s",
                   _("Sensitive and not privileged. Theorem 1 wants every sensitive instruction to "
                     "be privileged: this one stands in the way."));
}

static void introduce(struct story *story, const struct witness *witness)
{
    switch (property_rows[witness->property].relation) {
    case RELATION_SINGLE:
        story_say(story, "%s", _("One state, before and after the instruction:"));
        break;
    case RELATION_RELOCATED:
        story_say(story, "%s",
                  _("Two states that a program must not be able to tell apart: the same program at "
                    "one place of memory, and moved to another. Through the map both show the same "
                    "contents:"));
        break;
    case RELATION_MODE:
        story_say(story, "%s", _("Two states that are equal in everything but the mode:"));
        break;
    case RELATION_RESOURCES:
        story_say(story, "%s",
                  _("Two states that are equal in everything but the counted resources:"));
        break;
    case RELATION_FOLDED:
        story_say(story,
                  ngettext("A state of the bare machine, and the same under a monitor: memory %u "
                           "cell higher, user mode, and the host's own resources:",
                           "A state of the bare machine, and the same under a monitor: memory %u "
                           "cells higher, user mode, and the host's own resources:",
                           story->description->monitor_cells),
                  story->description->monitor_cells);
        break;
    }
}

static void conclude(struct story *story, const struct witness *witness)
{
    enum relation relation = property_rows[witness->property].relation;
    char cell[STORY_NAME_SIZE], seen[2][STORY_VALUE_SIZE];

    if (!witness->has_difference) {
        if (witness->property == PROPERTY_UNPRIVILEGED &&
            witness->outcome[1].kind == OUTCOME_NORMAL)
            story_say(story, "%s", _("In user mode it runs: nobody is told."));
        else if (witness->property == PROPERTY_UNPRIVILEGED)
            story_say(story, "%s",
                      _("It traps in user mode, but in supervisor mode it does not simply run."));
        return;
    }
    story_cell_name(witness, cell, sizeof(cell));
    for (int i = 0; i < 2; i++) {
        story_value(witness->cell, witness->seen[i], seen[i], sizeof(seen[i]));
        if (witness->cell == NULL)
            (void)snprintf(seen[i], sizeof(seen[i]), "%s",
                           witness->seen[i] != 0 ? _("yes") : _("no"));
    }
    if (relation == RELATION_SINGLE)
        story_say(story, _("The first change that counts: %s was %s and is %s."), cell, seen[0],
                  seen[1]);
    else if (relation == RELATION_FOLDED)
        story_say(story, _("The first difference: %s should be %s and is %s."), cell, seen[0],
                  seen[1]);
    else
        story_say(story, _("The first difference: %s is %s on one side and %s on the other."), cell,
                  seen[0], seen[1]);
}

static void tell_witness(struct story *story, const char *heading, const struct witness *witness)
{
    if (witness == NULL)
        return;
    story_add(story, STORY_HEADING, NULL, heading);
    introduce(story, witness);
    add_witness(story, witness);
    conclude(story, witness);
}

static void tell_one(struct story *story, const char *format, enum property property)
{
    const struct witness *witness = story->report->found.witness[property];
    char heading[160];

    if (witness == NULL)
        return;
    (void)snprintf(heading, sizeof(heading), format, _(property_rows[property].name));
    tell_witness(story, heading, witness);
}

static void tell_proofs(struct story *story)
{
    static const enum property folded[] = { PROPERTY_DIFFERS, PROPERTY_FALSE_TRAP,
                                            PROPERTY_FALSE_FAULT };
    const struct instruction_report *report = story->report;
    const struct witness *main = analysis_main_witness(report);

    if (main != NULL)
        tell_one(story, _("The proof that it is %s"), main->property);
    if (report->is[CLASS_PRIVILEGED] == ANSWER_YES)
        tell_witness(story, _("An example of the trap"),
                     report->found.witness[PROPERTY_COMPARABLE]);
    else if (main != NULL && main->property == PROPERTY_MODE)
        story_say(
            story, "%s",
            _("The same two states prove that it is not privileged: in user mode it runs, and "
              "nobody is told."));
    else if (main != NULL)
        tell_one(story, _("The proof that it is %s"), PROPERTY_UNPRIVILEGED);
    if (report->is[CLASS_PARTIAL] == ANSWER_YES && report->is[CLASS_PRIVILEGED] != ANSWER_YES) {
        tell_one(story, _("A state where it %s"), PROPERTY_TRAPS_IN_USER);
        tell_one(story, _("A state where it %s"), PROPERTY_RUNS_IN_USER);
    }
    for (size_t i = 0; i < 3 && report->is[CLASS_COMMUTES] == ANSWER_NO &&
                       report->is[CLASS_CRITICAL] != ANSWER_YES;
         i++)
        tell_one(story, _("Trap-or-commute fails: it %s"), folded[i]);
    if (main == NULL && report->is[CLASS_INNOCUOUS] == ANSWER_YES)
        story_say(story, "%s",
                  _("There is no state to show: the search for one, over all states, operands and "
                    "choices, came back empty. That is the proof."));
    else
        story_say(story, "%s",
                  _("Every table here was run again by an evaluator that shares nothing with the "
                    "solver."));
}

static size_t line_start(const char *source, uint32_t line)
{
    size_t at = 0;

    for (uint32_t i = 1; i < line; i++) {
        const char *end = strchr(source + at, '\n');

        if (end == NULL)
            return strlen(source);
        at = (size_t)(end - source) + 1;
    }
    return at;
}

/* From the instruction's line to its closing brace; comments and strings may hold braces. */
static size_t body_length(const char *text)
{
    bool comment = false, string = false, body = false;
    unsigned depth = 0, lines = 0;
    size_t i;

    for (i = 0; text[i] != '\0' && lines < SOURCE_MAX_LINES; i++) {
        char c = text[i];

        comment = c != '\n' && (comment || (c == '#' && !string));
        lines += c == '\n';
        if (comment)
            continue;
        if (c == '"')
            string = !string;
        if (string)
            continue;
        if (c == '{')
            depth++;
        /* Domains and encodings close before the body, on the instruction's own line. */
        body = body || (c == '{' && text[i + 1] == '\n');
        if (c == '}' && depth > 0 && --depth == 0 && (body || text[i + 1] == '\n'))
            return i + 1;
    }
    return i;
}

static void tell_deed(struct story *story, const char *source)
{
    const struct isa_instruction *instruction = story->report->instruction;
    char *text;
    size_t at;

    story_add(story, STORY_HEADING, NULL, _("What it does"));
    if (instruction->summary != NULL)
        story_say(story, "%s: %s.", instruction->name, instruction->summary);
    if (source == NULL)
        return;
    story_say(story, _("In the description, line %u:"), instruction->at.line);
    at = line_start(source, instruction->at.line);
    text = strndup(source + at, body_length(source + at));
    if (text == NULL)
        story->failed = true;
    else
        story_add(story, STORY_SOURCE, NULL, text);
    free(text);
}

int story_tell(const struct isa_description *description, const struct instruction_report *report,
               const char *source, struct story *story)
{
    memset(story, 0, sizeof(*story));
    story->description = description;
    story->report = report;
    tell_deed(story, source);
    tell_classes(story);
    tell_proofs(story);
    story_tell_monitor(story);
    return story->failed ? -ENOMEM : 0;
}

void story_release(struct story *story)
{
    for (unsigned i = 0; i < story->count; i++) {
        free(story->parts[i].term);
        free(story->parts[i].text);
    }
    free(story->parts);
    memset(story, 0, sizeof(*story));
}
