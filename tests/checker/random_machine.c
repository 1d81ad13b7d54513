/* SPDX-License-Identifier: MIT */
/* Random machines: a grammar walked by a seeded generator. */
#include "random_machine.h"

#include <stdio.h>
#include <stdlib.h>

struct generator {
    uint64_t state;
    FILE *out;
    unsigned locals; /* of one bit, in scope */
    unsigned choices;
};

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned pick(struct generator *g, unsigned bound)
{
    return (unsigned)(random_next(&g->state) % bound);
}

static void wide(struct generator *g, unsigned depth);

/* An expression of one bit. */
static void bit(struct generator *g, unsigned depth)
{
    static const char *const leaves[] = { "M", "P", "r", "Q", "a", "l[0]", "b[1]", "0", "1", "u" };
    static const char *const comparisons[] = { "==", "!=", "<", "<=", ">" };
    static const char *const operations[] = { "&", "|", "^", "+", "-", "*", "&&", "||" };

    switch (depth == 0 ? 0 : pick(g, 7)) {
    case 0:
    case 1:
        if (g->locals > 0 && pick(g, 3) == 0)
            fprintf(g->out, "t%u", pick(g, g->locals));
        else
            fprintf(g->out, "zext(%s, 1)", leaves[pick(g, 10)]);
        break;
    case 2:
        fputs("(", g->out);
        wide(g, depth - 1);
        fprintf(g->out, " %s ", comparisons[pick(g, 5)]);
        wide(g, depth - 1);
        fputs(")", g->out);
        break;
    case 3:
        fputs("slt(", g->out);
        wide(g, depth - 1);
        fputs(", ", g->out);
        wide(g, depth - 1);
        fputs(")", g->out);
        break;
    case 4:
        fputs("!", g->out);
        bit(g, depth - 1);
        break;
    default:
        fputs("(", g->out);
        bit(g, depth - 1);
        fprintf(g->out, " %s ", operations[pick(g, 8)]);
        bit(g, depth - 1);
        fputs(")", g->out);
        break;
    }
}

/* An expression of two bits. */
static void wide(struct generator *g, unsigned depth)
{
    static const char *const operations[] = { "+", "-", "*",  "/",  "%",   "&",
                                              "|", "^", "<<", ">>", ">>>", "+" };

    switch (depth == 0 ? 0 : pick(g, 6)) {
    case 0:
        fputs(pick(g, 3) == 0 ? "zext(memsize, 2)" : pick(g, 2) == 0 ? "l" : "b", g->out);
        break;
    case 1:
        fputs(pick(g, 2) == 0 ? "zext(" : "sext(", g->out);
        bit(g, depth - 1);
        fputs(", 2)", g->out);
        break;
    case 2:
        fputs("{", g->out);
        bit(g, depth - 1);
        fputs(", ", g->out);
        bit(g, depth - 1);
        fputs("}", g->out);
        break;
    case 3:
        fputs("(", g->out);
        bit(g, depth - 1);
        fputs(" ? ", g->out);
        wide(g, depth - 1);
        fputs(" : ", g->out);
        wide(g, depth - 1);
        fputs(")", g->out);
        break;
    default:
        fputs("(", g->out);
        wide(g, depth - 1);
        fprintf(g->out, " %s ", operations[pick(g, 12)]);
        wide(g, depth - 1);
        fputs(")", g->out);
        break;
    }
}

static void block(struct generator *g, unsigned depth);

static void assignment(struct generator *g)
{
    static const char *const targets[] = { "M", "P", "r", "Q", "l[0]", "b[1]", "r", "r" };

    fprintf(g->out, "%s = ", targets[pick(g, 8)]);
    bit(g, 2);
    fputs(";\n", g->out);
}

static void statement(struct generator *g, unsigned depth)
{
    switch (pick(g, 10)) {
    case 0:
        fputs("let t", g->out);
        fprintf(g->out, "%u = ", g->locals);
        if (pick(g, 2) == 0 && g->choices < 1) {
            fputs("choose(1)", g->out);
            g->choices++;
        } else {
            fputs("load(", g->out);
            bit(g, 1);
            fputs(pick(g, 4) == 0 ? ", u)" : ")", g->out);
        }
        fputs(";\n", g->out);
        g->locals++;
        break;
    case 1:
        fputs("store(", g->out);
        bit(g, 1);
        fputs(", ", g->out);
        bit(g, 1);
        fputs(");\n", g->out);
        break;
    case 2:
        fputs("E[", g->out);
        wide(g, 1);
        fputs("] = ", g->out);
        bit(g, 1);
        fputs(";\n", g->out);
        break;
    case 3:
        fputs(pick(g, 2) == 0 ? "if (M == u) { trap; }\n" : "if (M == u && Q == 0) { trap; }\n",
              g->out);
        break;
    case 4:
        if (depth > 0) {
            fputs("if (", g->out);
            bit(g, 2);
            fputs(") ", g->out);
            block(g, depth - 1);
            if (pick(g, 2) == 0) {
                fputs("else ", g->out);
                block(g, depth - 1);
            }
        }
        break;
    case 5:
        if (pick(g, 3) == 0)
            fputs(pick(g, 2) == 0 ? "if (r == 1) { halt; }\n" : "if (r == 1) { fault; }\n", g->out);
        break;
    case 6:
        fputs("{l, r} = {b, ", g->out);
        bit(g, 1);
        fputs("};\n", g->out);
        break;
    default:
        assignment(g);
        break;
    }
}

static void block(struct generator *g, unsigned depth)
{
    unsigned locals = g->locals;

    fputs("{\n", g->out);
    for (unsigned i = pick(g, 4); i > 0; i--)
        statement(g, depth);
    fputs("}\n", g->out);
    g->locals = locals;
}

static void header(struct generator *g)
{
    fputs("isa \"random\";\nmode M : 1 { s = 0, u = 1 }\nanalyze s over u;\n"
          "pc P : 1;\nrelocation l : 2;\nrelocation b : 2;\nuser r : 1;\nresource Q : 1;\n"
          "memory E[3] : 1;\nmonitor 1;\n",
          g->out);
    if (pick(g, 4) == 0)
        fputs("invariant b <= 2;\n", g->out);
    fputs("map a : 1 as m -> 3 {\nif (zext(a, 2) >= b) { fault; }\n", g->out);
    if (pick(g, 5) == 0)
        fputs("if (m == s) { yield zext(a, 3); }\n", g->out);
    fputs("yield zext(a, 3) + zext(l, 3);\n}\n"
          "relocate x : 1 when l + zext(x, 2) >= l {\nl = l + zext(x, 2);\n}\n"
          "trap code : 1 { E[0] = M; M = s; }\n",
          g->out);
}

char *random_machine(uint64_t seed, size_t *length)
{
    struct generator g = { .state = seed };
    char *text = NULL;

    g.out = open_memstream(&text, length);
    if (g.out == NULL)
        return NULL;
    header(&g);
    for (unsigned i = 0; i < 2; i++) {
        g.locals = 0;
        g.choices = 0;
        fprintf(g.out, "insn I%u(a : 1)\n", i);
        block(&g, 2);
    }
    (void)fclose(g.out);
    return text;
}
