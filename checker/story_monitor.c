/* SPDX-License-Identifier: MIT */
/* The story's end: what a monitor makes of an instruction, and what can be done where it fails. */
#include "messages.h"
#include "story.h"

#include <string.h>

struct difference {
    char cell[STORY_NAME_SIZE];
    char first[STORY_VALUE_SIZE], second[STORY_VALUE_SIZE];
};

static void read_difference(const struct witness *witness, struct difference *difference)
{
    story_cell_name(witness, difference->cell, sizeof(difference->cell));
    story_value(witness->cell, witness->seen[0], difference->first, sizeof(difference->first));
    story_value(witness->cell, witness->seen[1], difference->second, sizeof(difference->second));
    if (witness->cell == NULL) {
        (void)snprintf(difference->first, sizeof(difference->first), "%s",
                       witness->seen[0] != 0 ? _("yes") : _("no"));
        (void)snprintf(difference->second, sizeof(difference->second), "%s",
                       witness->seen[1] != 0 ? _("yes") : _("no"));
    }
}

/* It changes, in user mode and without a trap, what belongs to the monitor. */
static void tell_grab(struct story *story, const struct witness *witness)
{
    const char *name = witness->instruction->name;
    struct difference is;

    read_difference(witness, &is);
    if (witness->cell->role == ROLE_MODE)
        story_say(story,
                  _("A monitor lets its guest run in user mode. There %s changes the processor's "
                    "mode from %s to %s without a trap: from then on the machine runs in a mode "
                    "that the monitor did not choose. Resource control is lost."),
                  name, is.first, is.second);
    else if (witness->cell->role == ROLE_RELOCATION)
        story_say(story,
                  _("A monitor gives its guest a window of memory. There %s changes %s from %s to "
                    "%s without a trap: the guest moves its own window, over the monitor's memory "
                    "or another guest's. Resource control is lost."),
                  name, is.cell, is.first, is.second);
    else
        story_say(
            story,
            _("Resources are handed out by the monitor's allocator. %s changes %s from %s to "
              "%s in user mode without a trap: the allocator is never asked, and the real "
              "resource changes where only the guest's own should. Resource control is lost."),
            name, is.cell, is.first, is.second);
}

/* What becomes of an instruction that is sensitive in supervisor mode only: under a monitor the
 * kernel is in user mode. */
static void tell_user_side(struct story *story, const char *cell)
{
    const enum answer *found = story->report->found.answer;

    if (found[PROPERTY_RUNS_IN_USER] == ANSWER_YES)
        story_say(story,
                  _("Under a monitor the kernel runs in user mode, and there the instruction does "
                    "not always trap: the monitor is not told, its record of the guest's %s goes "
                    "stale, and the kernel goes on as on the bare machine. Equivalence is lost."),
                  cell);
    else if (found[PROPERTY_TRAPS_IN_USER] == ANSWER_YES)
        story_say(story, "%s",
                  _("Under a monitor the kernel runs in user mode, and there the instruction never "
                    "runs: the monitor is told where it traps. But it does not meet the "
                    "definition of privileged in every state; a monitor that counts on the "
                    "definition gets those states wrong, and there equivalence is lost."));
    else
        story_say(
            story, "%s",
            _("Under a monitor the kernel runs in user mode, and there the instruction takes "
              "a memory trap, nothing else: a monitor has no interpreter for it, so the guest "
              "gets a memory trap where the bare machine runs. Equivalence is lost."));
}

/* On the bare machine the kernel changes something. */
static void tell_silence(struct story *story, const struct witness *witness)
{
    struct difference is;

    read_difference(witness, &is);
    story_say(story, _("On the bare machine a kernel uses %s to change %s from %s to %s."),
              witness->instruction->name, is.cell, is.first, is.second);
    tell_user_side(story, is.cell);
}

/* On the bare machine the kernel reads where it is, or a resource. */
static void tell_kernel_leak(struct story *story, const struct witness *witness)
{
    struct difference is;

    read_difference(witness, &is);
    story_say(story,
              property_rows[witness->property].relation == RELATION_RELOCATED
                  ? _("On the bare machine a kernel learns from %s where its memory lies: %s is %s "
                      "at the one place and %s at the other.")
                  : _("On the bare machine a kernel learns from %s the state of a resource: %s is "
                      "%s with the one value and %s with the other."),
              witness->instruction->name, is.cell, is.first, is.second);
    tell_user_side(story, is.cell);
}

static void tell_leak(struct story *story, const struct witness *witness)
{
    const char *name = witness->instruction->name;
    struct difference is;

    read_difference(witness, &is);
    if (property_rows[witness->property].relation == RELATION_MODE)
        story_say(
            story,
            _("A guest's kernel believes it is in supervisor mode, but a monitor runs it in "
              "user mode. For %s the bare machine leaves %s = %s; under the monitor it is %s. "
              "Nothing traps, so the monitor can't put it right: the kernel sees that it is "
              "not what it believes it is. Equivalence is lost."),
            name, is.cell, is.first, is.second);
    else if (property_rows[witness->property].relation == RELATION_RELOCATED)
        story_say(story,
                  _("A monitor keeps its guest elsewhere in memory than the guest believes. %s "
                    "shows it: %s is %s at the one place and %s at the other, and nothing traps. "
                    "The guest sees the real relocation instead of its own. Equivalence is lost."),
                  name, is.cell, is.first, is.second);
    else
        story_say(story,
                  _("A monitor keeps each guest's resources apart from the real ones. %s shows the "
                    "real one: %s is %s with the one value and %s with the other, and nothing "
                    "traps. The guest reads the host's state instead of its own. Equivalence is "
                    "lost."),
                  name, is.cell, is.first, is.second);
}

static void tell_error(struct story *story)
{
    const struct witness *witness = analysis_main_witness(story->report);

    story_add(story, STORY_HEADING, NULL, _("What a monitor would get wrong"));
    if (witness == NULL)
        return;
    switch (witness->property) {
    case PROPERTY_CONTROL_USER:
        tell_grab(story, witness);
        break;
    case PROPERTY_CONTROL_SUPERVISOR:
        tell_silence(story, witness);
        break;
    case PROPERTY_LOCATION_SUPERVISOR:
    case PROPERTY_RESOURCE_SUPERVISOR:
        tell_kernel_leak(story, witness);
        break;
    default:
        tell_leak(story, witness);
        break;
    }
}

static void tell_ways_out(struct story *story)
{
    const char *name = story->report->instruction->name;

    story_add(story, STORY_HEADING, NULL, _("The ways out"));
    story_item(story, _("Patching"),
               _("Find %s while the guest runs (dynamic recompilation), before it is reached, and "
                 "replace it by a trap or by a call into the monitor, which does it on the guest's "
                 "own state. The replacements are kept in a cache."),
               name);
    story_item(story, _("Paravirtualization"), "%s",
               _("Change the guest's source: it calls the monitor instead."));
    if (story->report->is[CLASS_HYBRID_CRITICAL] == ANSWER_NO)
        story_item(story, _("Hybrid monitor"),
                   _("Helps here: %s is not user sensitive. A monitor that interprets all of the "
                     "guest's supervisor code and lets only its user code run directly never runs "
                     "it where it does harm (Theorem 3)."),
                   name);
    else if (story->report->is[CLASS_HYBRID_CRITICAL] == ANSWER_YES)
        story_item(story, _("Hybrid monitor"),
                   _("Does not help: %s is user sensitive. It does harm in the guest's user code "
                     "too, which a hybrid monitor would run directly (Theorem 3 fails)."),
                   name);
    story_item(story, _("Hardware"), "%s",
               _("Make it trap in user mode in every state (the MC68010 did so for MOVE from SR, "
                 "UMIP for x86's SGDT), or add a mode in which the guest's supervisor is a real "
                 "one over registers of its own (VT-x, AMD-V, SIE)."));
}

static void tell_direct(struct story *story)
{
    const enum answer *is = story->report->is;
    const char *name = story->report->instruction->name;

    story_add(story, STORY_HEADING, NULL, _("What a monitor does with it"));
    if (is[CLASS_PRIVILEGED] == ANSWER_YES && is[CLASS_SENSITIVE] == ANSWER_YES)
        story_say(story,
                  _("It traps, always. The dispatcher looks at the trapped instruction; its "
                    "interpreter for %s does on the guest's own mode, relocation and resources "
                    "what the bare machine would have done."),
                  name);
    else if (is[CLASS_PRIVILEGED] == ANSWER_YES)
        story_say(story,
                  _("It traps, so the monitor has an interpreter for %s, although nothing about it "
                    "is sensitive."),
                  name);
    else if (is[CLASS_INNOCUOUS] == ANSWER_YES)
        story_say(story, _("Nothing: %s runs directly on the hardware, at full speed."), name);
    else
        story_say(story, "%s", _("Unknown: its classes could not all be decided."));
    if (is[CLASS_COMMUTES] == ANSWER_NO)
        story_say(story, "%s",
                  _("But the classes are not the whole truth. With the standard way of putting a "
                    "guest into a machine (the paper's map f) there is a state, shown above, where "
                    "it neither traps rightly nor gives the bare machine's result: what works by "
                    "the theorem needs care in a real monitor."));
}

void story_tell_monitor(struct story *story)
{
    if (story->report->is[CLASS_CRITICAL] == ANSWER_YES) {
        tell_error(story);
        tell_ways_out(story);
    } else {
        tell_direct(story);
    }
}

void story_condition_line(const struct isa_description *description,
                          const struct instruction_report *report, char *text, size_t size)
{
    const struct witness *witness = report->found.witness[PROPERTY_STRAYS_IN_USER];
    const struct isa_cell *cell;
    char names[256] = "";

    for (unsigned i = 0;
         witness != NULL && (cell = witness_resource(description, witness, i)) != NULL; i++) {
        size_t used = strlen(names);

        (void)snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : _(", "),
                       cell->name);
    }
    if (names[0] != '\0')
        (void)snprintf(text, size,
                       _("%s, in user mode, goes by %s: a hybrid monitor must let the host have "
                         "what the guest has there"),
                       report->instruction->name, names);
    else
        (void)snprintf(text, size,
                       _("%s, in user mode, goes astray under the VM map: a hybrid monitor must "
                         "look after it"),
                       report->instruction->name);
}

void story_classes_line(const struct instruction_report *report, char *text, size_t size)
{
    static const struct {
        enum instruction_class class;
        const char *word;
    } rows[] = {
        { CLASS_CONTROL, N_("control sensitive") },
        { CLASS_LOCATION, N_("location sensitive") },
        { CLASS_MODE, N_("mode sensitive") },
        { CLASS_RESOURCE, N_("resource sensitive") },
        { CLASS_PARTIAL, N_("partially trapping") },
        { CLASS_INNOCUOUS, N_("innocuous") },
        { CLASS_USER_SENSITIVE, N_("user sensitive") },
    };
    enum answer privileged = report->is[CLASS_PRIVILEGED];
    bool undecided = privileged == ANSWER_UNDECIDED;
    size_t used = 0;

    (void)snprintf(text, size, "%s",
                   privileged == ANSWER_YES                   ? _("privileged")
                   : report->is[CLASS_CRITICAL] == ANSWER_YES ? _("CRITICAL")
                   : privileged == ANSWER_NO                  ? _("not privileged")
                                                              : _("undecided"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        used = strlen(text);
        if (report->is[rows[i].class] == ANSWER_YES)
            (void)snprintf(text + used, size - used, "%s%s", _(", "), _(rows[i].word));
        undecided = undecided || report->is[rows[i].class] == ANSWER_UNDECIDED;
    }
    used = strlen(text);
    if (undecided && privileged != ANSWER_UNDECIDED)
        (void)snprintf(text + used, size - used, "%s%s", _(", "), _("undecided"));
}

void story_difference_line(const struct witness *witness, char *text, size_t size)
{
    struct difference is;

    read_difference(witness, &is);
    if (!witness->has_difference)
        (void)snprintf(text, size, "%s", _("no difference to show"));
    else if (property_rows[witness->property].relation == RELATION_SINGLE)
        (void)snprintf(text, size, _("%s goes from %s to %s"), is.cell, is.first, is.second);
    else
        (void)snprintf(text, size, _("%s is %s against %s"), is.cell, is.first, is.second);
}
