/* SPDX-License-Identifier: MIT */
/* Solver: see solver.h. */
#include "solver.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { QUICK_LIMIT = 200000 }; /* in Z3's units of work, some 20 ms */

void solver_init(struct solver *solver, Z3_context context, unsigned timeout)
{
    memset(solver, 0, sizeof(*solver));
    solver->context = context;
    solver->timeout = timeout;
}

static void forget_model(struct solver *solver)
{
    if (solver->model != NULL)
        Z3_model_dec_ref(solver->context, solver->model);
    solver->model = NULL;
}

void solver_release(struct solver *solver)
{
    forget_model(solver);
    if (solver->quick != NULL)
        Z3_solver_dec_ref(solver->context, solver->quick);
    if (solver->thorough != NULL)
        Z3_solver_dec_ref(solver->context, solver->thorough);
    solver->quick = solver->thorough = NULL;
}

static void set_limit(Z3_context z, Z3_solver solver, const char *name, unsigned value)
{
    Z3_params parameters = Z3_mk_params(z);

    Z3_params_inc_ref(z, parameters);
    Z3_params_set_uint(z, parameters, Z3_mk_string_symbol(z, name), value);
    Z3_solver_set_params(z, solver, parameters);
    Z3_params_dec_ref(z, parameters);
}

/* An empty solver of either kind; NULL when Z3 gives none. Each is made when first wanted. */
static Z3_solver prepare(struct solver *solver, bool quick)
{
    Z3_context z = solver->context;
    Z3_solver *place = quick ? &solver->quick : &solver->thorough;

    if (*place != NULL) {
        Z3_solver_reset(z, *place);
        return *place;
    }
    *place =
        quick ? Z3_mk_simple_solver(z) : Z3_mk_solver_for_logic(z, Z3_mk_string_symbol(z, "QF_BV"));
    if (*place == NULL)
        return NULL;
    Z3_solver_inc_ref(z, *place);
    if (quick)
        set_limit(z, *place, "rlimit", QUICK_LIMIT);
    else
        set_limit(z, *place, "timeout", solver->timeout);
    return *place;
}

Z3_lbool solver_ask(struct solver *solver, Z3_ast formula, int *error)
{
    Z3_lbool found = Z3_L_UNDEF;
    Z3_solver asked = NULL;

    forget_model(solver);
    *error = 0;
    for (int i = 0; i < 2 && found == Z3_L_UNDEF && *error == 0; i++) {
        asked = prepare(solver, i == 0);
        if (asked == NULL) {
            *error = -EIO;
            break;
        }
        Z3_solver_assert(solver->context, asked, formula);
        found = Z3_solver_check(solver->context, asked);
    }
    if (found != Z3_L_TRUE)
        return found;
    solver->model = Z3_solver_get_model(solver->context, asked);
    if (solver->model == NULL) {
        *error = -EIO;
        return Z3_L_UNDEF;
    }
    Z3_model_inc_ref(solver->context, solver->model);
    return found;
}

uint64_t solver_value(const struct solver *solver, Z3_ast term)
{
    Z3_ast value = NULL;
    uint64_t number = 0;

    if (Z3_model_eval(solver->context, solver->model, term, true, &value) && value != NULL)
        (void)Z3_get_numeral_uint64(solver->context, value, &number);
    return number;
}
