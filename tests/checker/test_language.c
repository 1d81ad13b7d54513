/* SPDX-License-Identifier: MIT */
/* The description language: errors with exact line and column, and what bodies mean. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluator.h"
#include "format.h"

#define HEAD                                                                                       \
    "isa \"t\"; mode M : 1 { s = 0, u = 1 } analyze s over u; pc P : 2; relocation l : 3;"         \
    "relocation b : 3; user R[2] : 8; user c : 4; memory E[4] : 8; monitor 1;"                     \
    "map a : 2 -> 4 { if (zext(a, 3) >= b) { fault; } yield zext(a, 4) + zext(l, 4); }"            \
    "relocate x : 2 { l = l + zext(x, 3); }"                                                       \
    "trap code : 2 illegal 1 memory 2 { E[0] = zext({M, P}, 8); M = s; P = code; }\n"

struct error_row {
    const char *text;
    uint32_t line, column;
    const char *message; /* a part of it */
};

static const struct error_row errors[] = {
    { "", 1, 1, "begins with: isa" },
    { "isa \"a\";\n  foo;", 2, 3, "does not begin a declaration" },
    { "isa \"a", 1, 5, "not closed" },
    { "isa \"a\"; $", 1, 10, "no meaning" },
    { "isa \"a\"; const x = 0b12;", 1, 20, "only 0 and 1" },
    { "isa \"a\"; const x = 99999999999999999999;", 1, 20, "more than 64 bits" },
    { "isa \"a\"; user r : 65;", 1, 19, "between 1 and 64" },
    { "isa \"a\"; user r : 4; user r : 4;", 1, 27, "declared twice" },
    { "isa \"a\"; user load : 4;", 1, 15, "word of the language" },
    { "isa \"a\"; analyze 0 over 1;", 1, 18, "needs a mode cell" },
    { HEAD "insn X { c = 16; }", 2, 14, "does not fit in 4 bits" },
    { HEAD "insn X { c = R[0]; }", 2, 14, "8 bits where 4 are needed" },
    { HEAD "insn X { c = c + R[0]; }", 2, 16, "left side has 4 bits, the right side 8" },
    { HEAD "insn X { y = 1; }", 2, 10, "not a cell" },
    { HEAD "insn X { c = y; }", 2, 14, "nothing is called 'y'" },
    { HEAD "insn X { if (c) { } }", 2, 14, "4 bits where 1" },
    { HEAD "insn X { c = c[4]; }", 2, 15, "bits 4 to 4" },
    { HEAD "insn X { c = c", 2, 15, "file ends" },
    { HEAD "insn X { c = c == 1 ? load(0)[3:0] : c; }", 2, 23, "arm of ?:" },
    { HEAD "insn X { c = {1, c}; }", 2, 15, "needs a width" },
    { HEAD "insn X { yield 1; }", 2, 10, "may not stand here" },
    { HEAD "insn X = { 0b111 } { }", 2, 10, "encoding has 3 bits" },
    { HEAD "insn X { } insn X { }", 2, 17, "described twice" },
    { HEAD "macro m(a : 4) { c = a + R[0]; }", 2, 24, "left side has 4 bits" },
    { HEAD "insn X(each k : 9) { }", 2, 13, "list the values" },
    { HEAD "when 1 { insn X { }", 2, 20, "file ends" },
    { HEAD "when 0 { insn X { }", 2, 20, "file ends" },
};

static void test_errors(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct diagnostics diagnostics = { 0 };
        struct isa_description *description = NULL;
        int error = description_parse(errors[i].text, strlen(errors[i].text), NULL, 0, &diagnostics,
                                      &description);

        if (error != -EINVAL || diagnostics.at.line != errors[i].line ||
            diagnostics.at.column != errors[i].column ||
            strstr(diagnostics.message, errors[i].message) == NULL)
            print_error("row %zu: %d, %u:%u %s\n", i, error, diagnostics.at.line,
                        diagnostics.at.column, diagnostics.message);
        assert_int_equal(error, -EINVAL);
        assert_null(description);
        assert_int_equal(diagnostics.at.line, errors[i].line);
        assert_int_equal(diagnostics.at.column, errors[i].column);
        assert_non_null(strstr(diagnostics.message, errors[i].message));
    }
}

static struct isa_description *parse(const char *text)
{
    struct diagnostics diagnostics = { 0 };
    struct isa_description *description = NULL;

    if (description_parse(text, strlen(text), NULL, 0, &diagnostics, &description) != 0)
        diagnostics_print(&diagnostics, stderr);
    assert_non_null(description);
    return description;
}

struct value_row {
    const char *body;
    uint64_t c; /* the cell c afterwards, when it was 5 and R was {0xf0, 3} */
};

static const struct value_row values[] = {
    { "c = c + 12;", 1 },
    { "c = c - 6;", 15 },
    { "c = c * c;", 9 },
    { "c = c / 0;", 15 },
    { "c = c % 0;", 5 },
    { "c = 0b1000 >>> 1;", 12 },
    { "c = c << 4;", 0 },
    { "c = ~c;", 10 },
    { "c = -c;", 11 },
    { "c = {c[0], c[3:1]};", 10 },
    { "c[3:2] = 0b10;", 9 },
    { "c = sext(c[0], 4);", 15 },
    { "c = slt(c[2:0], 0) ? zext(7, 4) : 8;", 7 },
    { "c = R[0][7:4];", 15 },
    { "{c, R[0]} = 0x7ff;", 7 },
    { "let x = c; c = 0; if (x == 5) { c = 9; } else { c = 1; }", 9 },
    { "c = zext(memsize, 4);", 4 },
    { "store(1, 0x2a); let v = load(1); c = v[3:0];", 10 },
    { "c = zext(P, 4);", 1 },
};

static void test_values(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[2048];
        struct isa_description *description;
        struct instruction_input input = { { 0 }, { 0 } };
        struct machine_state state;
        struct outcome outcome;

        (void)snprintf(text, sizeof(text), "%sinsn X { %s }", HEAD, values[i].body);
        description = parse(text);
        assert_int_equal(machine_state_init(&state, description), 0);
        for (unsigned j = 0; j < description->cell_count; j++) {
            const struct isa_cell *cell = &description->cells[j];

            if (strcmp(cell->name, "c") == 0)
                state.values[cell->offset] = 5;
            if (strcmp(cell->name, "b") == 0)
                state.values[cell->offset] = 4;
            if (strcmp(cell->name, "R") == 0) {
                state.values[cell->offset] = 0xf0;
                state.values[cell->offset + 1] = 3;
            }
        }
        outcome = evaluate_instruction(description, description->instructions[0], &input, &state);
        assert_int_equal(outcome.kind, OUTCOME_NORMAL);
        for (unsigned j = 0; j < description->cell_count; j++) {
            const struct isa_cell *cell = &description->cells[j];

            if (strcmp(cell->name, "c") != 0)
                continue;
            if (state.values[cell->offset] != values[i].c)
                print_error("row %zu: %s\n", i, values[i].body);
            assert_int_equal(state.values[cell->offset], values[i].c);
        }
        machine_state_release(&state);
        description_release(description);
    }
}

/* Fetch, decode, run and trap delivery: ADD, then a bound violation. */
static void test_step(void **unused)
{
    static const char text[] =
        HEAD "insn ADD(r : 1, n : 4) = { 0b101, r, n } { R[r] = R[r] + zext(n, 8); }"
             "insn FAR = { 0b1110_0000 } { let v = load(3); R[0] = v; }";
    struct isa_description *description = parse(text);
    uint64_t operands[ISA_MAX_OPERANDS] = { 1, 9 };
    struct machine_state state, scratch;
    struct step_record record;
    uint64_t *memory;

    (void)unused;
    assert_int_equal(machine_state_init(&state, description), 0);
    assert_int_equal(machine_state_init(&scratch, description), 0);
    state.values[description->cells[3].offset] = 2; /* b */
    memory = machine_state_memory(&state, description);
    encode_instruction(description, description->instructions[0], operands, &memory[0]);
    assert_int_equal(memory[0], 0xb9);
    encode_instruction(description, description->instructions[1], operands, &memory[1]);
    assert_int_equal(evaluate_step(description, &state, &scratch, NULL, NULL, &record), 0);
    assert_ptr_equal(record.instruction, description->instructions[0]);
    assert_int_equal(state.values[description->cells[4].offset + 1], 9);
    assert_int_equal(state.values[description->cells[1].offset], 1);
    assert_int_equal(evaluate_step(description, &state, &scratch, NULL, NULL, &record), 0);
    assert_int_equal(record.outcome.kind, OUTCOME_FAULT);
    assert_int_equal(memory[0], 1);                                  /* old mode and counter */
    assert_int_equal(state.values[description->cells[1].offset], 2); /* the code */
    machine_state_release(&state);
    machine_state_release(&scratch);
    description_release(description);
}

static void test_each(void **unused)
{
    struct isa_description *description = parse(
        HEAD "insn CSR(each k : 2 { status = 0, cycle = 3 }, r : 1) { if (k == 0) { trap; } }");

    (void)unused;
    assert_int_equal(description->instruction_count, 2);
    assert_non_null(description_find_instruction(description, "CSR.status"));
    assert_non_null(description_find_instruction(description, "CSR.cycle"));
    assert_null(description_find_instruction(description, "CSR.cycle")->body.first);
    description_release(description);
}

static void format_once(const char *text, char **result, size_t *length)
{
    struct diagnostics diagnostics = { 0 };
    FILE *out = open_memstream(result, length);

    assert_non_null(out);
    assert_int_equal(format_description(text, strlen(text), &diagnostics, out), 0);
    (void)fclose(out);
}

static void test_format_twice(void **unused)
{
    static const char text[] = HEAD "# note\n\n\ninsn X(a:2)={0b101,a,_:3}\"s\"{ # why\nif(c==1&&!"
                                    "(c<2)){c={c[0],~c[3:1]};}else if(M==u){trap 1;}else{fault;}\n"
                                    "# end\n}";
    char *once = NULL, *twice = NULL;
    size_t first = 0, second = 0;

    (void)unused;
    format_once(text, &once, &first);
    format_once(once, &twice, &second);
    assert_string_equal(once, twice);
    description_release(parse(once));
    free(once);
    free(twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),       cmocka_unit_test(test_values),
        cmocka_unit_test(test_step),         cmocka_unit_test(test_each),
        cmocka_unit_test(test_format_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
