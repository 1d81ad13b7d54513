/* SPDX-License-Identifier: MIT */
/* The report for people: model, observed, verdict, by group; then what it comes to. */
#include "../columns.h"
#include "../messages.h"
#include "probe.h"

#include <string.h>

/* Each cell to its width in columns, as Japanese takes two for a character. */
static void print_cells(const char *what, const char *model, const char *observed,
                        const char *cycles, const char *verdict, FILE *out)
{
    fputs("  ", out);
    columns_pad(what, 27, out);
    columns_pad(model, 21, out);
    columns_pad(observed, 51, out);
    fprintf(out, "%*s%s  %s\n", columns_of(cycles) < 6 ? (int)(6 - columns_of(cycles)) : 0, "",
            cycles, verdict);
}

static void print_header(const struct probe_environment *environment, FILE *out)
{
    fprintf(out, _("CPU         %s%s%s%s\n"),
            environment->cpuid_known ? environment->brand : _("unknown"),
            environment->vendor[0] != '\0' ? " (" : "", environment->vendor,
            environment->vendor[0] != '\0' ? ")" : "");
    fprintf(out, _("Kernel      %s, user mode at CPL %u, IOPL %u\n"), environment->kernel,
            environment->cpl, environment->iopl);
    if (environment->hypervisor)
        fprintf(out, _("Hypervisor  yes (\"%s\")\n"), environment->hypervisor_vendor);
    else
        fprintf(out, _("Hypervisor  %s\n"),
                environment->cpuid_known ? _("none that shows itself in CPUID") : _("unknown"));
}

static void print_row(const struct probe_row *row, const struct probe_finding *finding, FILE *out)
{
    char what[64], cycles[24] = "";

    (void)snprintf(what, sizeof(what), "%s%s%s", row->mnemonic,
                   row->operation[0] != '\0' ? "  " : "", row->operation);
    if (finding->cycles != 0)
        (void)snprintf(cycles, sizeof(cycles), "%llu", (unsigned long long)finding->cycles);
    print_cells(what, _(probe_model_name(row->model)), finding->observed, cycles,
                _(probe_verdict_name(finding->verdict)), out);
}

/* The mnemonics with this verdict, each once, after a heading. */
static void print_list(const struct probe_context *context, enum probe_verdict verdict,
                       const char *heading, FILE *out)
{
    size_t count, column = 0;
    unsigned distinct = 0;
    const struct probe_row *rows = probe_rows(&count);

    for (size_t i = 0; i < count; i++) {
        bool seen = false;

        if (context->findings[i].verdict != verdict)
            continue;
        for (size_t j = 0; j < i && !seen; j++)
            seen = context->findings[j].verdict == verdict &&
                   strcmp(rows[i].mnemonic, rows[j].mnemonic) == 0;
        if (seen)
            continue;
        if (distinct++ == 0)
            fprintf(out, "%s\n    ", heading);
        else
            fputs(column > 80 ? ",\n    " : ", ", out);
        column = (column > 80 ? 0 : column) + strlen(rows[i].mnemonic) + 2;
        fputs(rows[i].mnemonic, out);
    }
    if (distinct != 0)
        fprintf(out, "  (%u)\n", distinct);
}

static const char *umip_text(const struct probe_summary *summary)
{
    if (summary->umip == UMIP_UNKNOWN)
        return _("unknown: the rows do not agree, or did not run");
    if (summary->umip == UMIP_OFF)
        return _("off");
    return summary->umip_emulated ? _("on, and the kernel emulates its instructions for programs")
                                  : _("on");
}

static const char *consistency_text(const struct probe_summary *summary)
{
    static const char *const texts[][2] = {
        [UMIP_UNKNOWN] = { N_("  NOT consistent with the x86-64 model.\n"),
                           N_("  Consistent with the x86-64 model.\n") },
        [UMIP_OFF] = { N_("  NOT consistent with the x86-64 model without UMIP.\n"),
                       N_("  Consistent with the x86-64 model without UMIP.\n") },
        [UMIP_ON] = { N_("  NOT consistent with the x86-64 model with UMIP.\n"),
                      N_("  Consistent with the x86-64 model with UMIP.\n") },
    };

    return _(texts[summary->umip][summary->consistent]);
}

/* Can a process have CPUID trap, by arch_prctl(ARCH_SET_CPUID, 0)? A row of its own has tried. */
static const char *cpuid_faulting_text(const struct probe_context *context)
{
    size_t count;
    const struct probe_row *rows = probe_rows(&count);
    const struct probe_row *closed = probe_find_row("cpuid_closed");
    enum probe_verdict verdict =
        closed != NULL ? context->findings[closed - rows].verdict : VERDICT_UNDECIDED;

    if (verdict == VERDICT_CLOSED)
        return _("offered; with it CPUID traps in user mode");
    if (verdict == VERDICT_NOT_PROBED)
        return _("not offered by this CPU and kernel: CPUID never traps in user mode");
    return _("unknown");
}

static void print_summary(const struct probe_context *context, FILE *out)
{
    struct probe_summary summary = probe_summarize(context);
    const unsigned *verdicts = summary.verdicts;

    fputs(_("\nSummary\n"), out);
    print_list(context, VERDICT_CRITICAL, _("  Critical, proved here:"), out);
    print_list(context, VERDICT_UNPRIVILEGED,
               _("  Not privileged, proved here (that they are sensitive is the model's word):"),
               out);
    print_list(context, VERDICT_EMULATED, _("  Emulated by the kernel:"), out);
    print_list(context, VERDICT_CLOSED, _("  Seen to trap when a control bit says so:"), out);
    print_list(context, VERDICT_UNDECIDED, _("  Undecided:"), out);
    print_list(context, VERDICT_CONTRADICTS, _("  Against the model:"), out);
    fprintf(out,
            _("  %u probes: %u trapped as privileged, %u by a check, %u not available, %u not "
              "probed.\n"),
            summary.rows, verdicts[VERDICT_TRAPPED], verdicts[VERDICT_CHECKED],
            verdicts[VERDICT_UNAVAILABLE], verdicts[VERDICT_NOT_PROBED]);
    fprintf(out, _("  CPUID faulting: %s.\n"), cpuid_faulting_text(context));
    fprintf(out, _("  UMIP: %s.\n"), umip_text(&summary));
    fputs(consistency_text(&summary), out);
    fputs(verdicts[VERDICT_CRITICAL] != 0
              ? _("  Not every sensitive instruction is privileged: the condition of Popek and "
                  "Goldberg's\n"
                  "  Theorem 1 does not hold here.\n")
              : _("  No critical instruction was proved here, which decides nothing.\n"),
          out);
    if (context->environment.hypervisor)
        fputs(_("  All this describes the composite of CPU, hypervisor and kernel, not the CPU "
                "alone.\n"),
              out);
    else
        fputs(_("  All this describes the CPU as this kernel set it up.\n"), out);
}

void probe_print_text(const struct probe_context *context, FILE *out)
{
    size_t count;
    const struct probe_row *rows = probe_rows(&count);

    print_header(&context->environment, out);
    fputs("\n", out);
    print_cells(_("Instruction"), _("Model"), _("Observed"), _("Cycles"), _("Verdict"), out);
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        fprintf(out, "\n%s\n", _(probe_group_name((enum probe_group)group)));
        for (size_t i = 0; i < count; i++)
            if (rows[i].group == (enum probe_group)group)
                print_row(&rows[i], &context->findings[i], out);
    }
    print_summary(context, out);
}
