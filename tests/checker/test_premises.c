/* SPDX-License-Identifier: MIT */
/* Premises: declared in form and shown by example, or "not applicable". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "analysis.h"

/* A machine in pieces, so that each test can spoil one of them. */
#define CELLS                                                                                      \
    "isa \"m\"; mode M : 1 { s = 0, u = 1 } analyze s over u; pc P : 1;"                           \
    "relocation l : 2; relocation b : 2; user A : 1; memory E[3] : 1; monitor 1;"
#define MAP      "map a : 1 -> 3 { if (zext(a, 2) >= b) { fault; } yield zext(a, 3) + zext(l, 3); }"
#define RELOCATE "relocate x : 1 when l + zext(x, 2) >= l { l = l + zext(x, 2); }"
#define TRAP     "trap code : 1 { M = s; }"
#define LOAD     "insn LOAD(a : 1) { let v = load(a); A = v; }"
#define ANYTHING (-1)

static void check(const char *text, int missing)
{
    struct diagnostics diagnostics = { 0 };
    struct analysis_options how = { .mode = MODE_CLASSIC };
    struct isa_description *description = NULL;
    struct analysis analysis;

    assert_int_equal(description_parse(text, strlen(text), NULL, 0, &diagnostics, &description), 0);
    assert_int_equal(analysis_run(description, &how, &analysis), 0);
    for (int i = 0; i < PREMISE_COUNT; i++)
        assert_int_equal(analysis.premise[i], i != missing);
    assert_int_equal(analysis.verdict == VERDICT_NOT_APPLICABLE, missing != ANYTHING);
    analysis_release(&analysis);
    description_release(description);
}

static void test_complete(void **unused)
{
    (void)unused;
    check(CELLS MAP RELOCATE TRAP LOAD, ANYTHING);
}

static void test_relocation_moves_nothing(void **unused)
{
    (void)unused;
    check(CELLS MAP "relocate x : 1 { b = b; }" TRAP LOAD, PREMISE_RELOCATION);
    check(CELLS MAP "relocate x : 1 when x == 0 { l = l + zext(x, 2); }" TRAP LOAD,
          PREMISE_RELOCATION);
    check(CELLS "map a : 1 -> 3 { yield zext(a, 3); }" RELOCATE TRAP LOAD, PREMISE_RELOCATION);
}

static void test_trap_stays_in_user_mode(void **unused)
{
    (void)unused;
    check(CELLS MAP RELOCATE "trap code : 1 { M = u; }" LOAD, PREMISE_TRAPS);
    check(CELLS MAP RELOCATE "trap code : 1 { let m = E[7]; M = m; }" LOAD, PREMISE_TRAPS);
}

/* The new mode comes from memory: the supervisor may have put itself there, as in the paper. */
static void test_trap_by_table(void **unused)
{
    (void)unused;
    check(CELLS MAP RELOCATE "trap code : 1 { E[0] = M; M = E[1]; }" LOAD, ANYTHING);
}

static void test_no_states(void **unused)
{
    (void)unused;
    check(CELLS "invariant A != A;" MAP RELOCATE TRAP LOAD, PREMISE_STATES);
    check(CELLS "invariant M == u || A != A;" MAP RELOCATE TRAP LOAD, PREMISE_STATES);
}

static void test_no_look_up(void **unused)
{
    (void)unused;
    check(CELLS MAP RELOCATE TRAP "insn NOP { }", PREMISE_LOOKUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_relocation_moves_nothing),
        cmocka_unit_test(test_trap_stays_in_user_mode),
        cmocka_unit_test(test_trap_by_table),
        cmocka_unit_test(test_no_states),
        cmocka_unit_test(test_no_look_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
