/* SPDX-License-Identifier: MIT */
/* The report for people: model, observed, verdict, by group; then what it comes to. */
#include "probe.h"

#include <string.h>

#define ROW_FORMAT "  %-26s %-20s %-50s %6s  %s\n"

static void print_header(const struct probe_environment *environment, FILE *out)
{
    fprintf(out, "CPU         %s%s%s%s\n",
            environment->cpuid_known ? environment->brand : "unknown",
            environment->vendor[0] != '\0' ? " (" : "", environment->vendor,
            environment->vendor[0] != '\0' ? ")" : "");
    fprintf(out, "Kernel      %s, user mode at CPL %u, IOPL %u\n", environment->kernel,
            environment->cpl, environment->iopl);
    if (environment->hypervisor)
        fprintf(out, "Hypervisor  yes (\"%s\")\n", environment->hypervisor_vendor);
    else
        fprintf(out, "Hypervisor  %s\n",
                environment->cpuid_known ? "none that shows itself in CPUID" : "unknown");
}

static void print_row(const struct probe_row *row, const struct probe_finding *finding, FILE *out)
{
    char what[64], cycles[24] = "";

    (void)snprintf(what, sizeof(what), "%s%s%s", row->mnemonic,
                   row->operation[0] != '\0' ? "  " : "", row->operation);
    if (finding->cycles != 0)
        (void)snprintf(cycles, sizeof(cycles), "%llu", (unsigned long long)finding->cycles);
    fprintf(out, ROW_FORMAT, what, probe_model_name(row->model), finding->observed, cycles,
            probe_verdict_name(finding->verdict));
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
        return "unknown: the rows do not agree, or did not run";
    if (summary->umip == UMIP_OFF)
        return "off";
    return summary->umip_emulated ? "on, and the kernel emulates its instructions for programs"
                                  : "on";
}

static void print_summary(const struct probe_context *context, FILE *out)
{
    struct probe_summary summary = probe_summarize(context);
    const unsigned *verdicts = summary.verdicts;
    static const char *const umip_suffix[] = {
        [UMIP_UNKNOWN] = "", [UMIP_OFF] = " without UMIP", [UMIP_ON] = " with UMIP"
    };

    fputs("\nSummary\n", out);
    print_list(context, VERDICT_CRITICAL, "  Critical, proved here:", out);
    print_list(context, VERDICT_UNPRIVILEGED,
               "  Not privileged, proved here (that they are sensitive is the model's word):", out);
    print_list(context, VERDICT_EMULATED, "  Emulated by the kernel:", out);
    print_list(context, VERDICT_CLOSED, "  Seen to trap when a control bit says so:", out);
    print_list(context, VERDICT_UNDECIDED, "  Undecided:", out);
    print_list(context, VERDICT_CONTRADICTS, "  Against the model:", out);
    fprintf(
        out,
        "  %u probes: %u trapped as privileged, %u by a check, %u not available, %u not probed.\n",
        summary.rows, verdicts[VERDICT_TRAPPED], verdicts[VERDICT_CHECKED],
        verdicts[VERDICT_UNAVAILABLE], verdicts[VERDICT_NOT_PROBED]);
    fprintf(out, "  UMIP: %s.\n", umip_text(&summary));
    fprintf(out, "  %s the x86-64 model%s.\n",
            summary.consistent ? "Consistent with" : "NOT consistent with",
            umip_suffix[summary.umip]);
    fputs(verdicts[VERDICT_CRITICAL] != 0
              ? "  Not every sensitive instruction is privileged: the condition of Popek and "
                "Goldberg's\n"
                "  Theorem 1 does not hold here.\n"
              : "  No critical instruction was proved here, which decides nothing.\n",
          out);
    if (context->environment.hypervisor)
        fputs("  All this describes the composite of CPU, hypervisor and kernel, not the CPU "
              "alone.\n",
              out);
    else
        fputs("  All this describes the CPU as this kernel set it up.\n", out);
}

void probe_print_text(const struct probe_context *context, FILE *out)
{
    size_t count;
    const struct probe_row *rows = probe_rows(&count);

    print_header(&context->environment, out);
    fputs("\n", out);
    fprintf(out, ROW_FORMAT, "Instruction", "Model", "Observed", "Cycles", "Verdict");
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        fprintf(out, "\n%s\n", probe_group_name((enum probe_group)group));
        for (size_t i = 0; i < count; i++)
            if (rows[i].group == (enum probe_group)group)
                print_row(&rows[i], &context->findings[i], out);
    }
    print_summary(context, out);
}
