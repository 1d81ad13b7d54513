/* SPDX-License-Identifier: MIT */
/* Parser: assignments, to one cell or to several at once. */
#include "parser.h"

#include <string.h>

struct target {
    uint32_t cell;
    unsigned high, low;
    const struct isa_expression *index;
    bool physical;
    struct source_position at;
};

static bool parse_target_bits(struct parser *parser, struct target *target, unsigned width)
{
    uint64_t high = 0, low;

    target->high = width - 1;
    target->low = 0;
    if (target->physical || !parser_accept(parser, "["))
        return true;
    if (!parse_constant(parser, 0, width - 1, "a bit number", &high))
        return false;
    low = high;
    if (parser_accept(parser, ":") && !parse_constant(parser, 0, high, "a bit number", &low))
        return false;
    target->high = (unsigned)high;
    target->low = (unsigned)low;
    return parser_expect(parser, "]");
}

static bool parse_target(struct parser *parser, const struct token *name, struct target *target)
{
    const struct symbol *symbol = parser_find(parser, name);
    const struct isa_cell *cell;

    if (symbol == NULL || symbol->kind != SYMBOL_CELL) {
        parser_error(parser, name->at, "'%.*s' is not a cell that can be assigned",
                     name->length > 40 ? 40 : (int)name->length, name->text);
        return false;
    }
    memset(target, 0, sizeof(*target));
    target->at = name->at;
    target->cell = (uint32_t)symbol->value;
    cell = &parser->description->cells[target->cell];
    target->physical = cell->role == ROLE_MEMORY;
    if (!statement_allowed(parser, target->physical ? ALLOW_PHYSICAL : ALLOW_ASSIGN,
                           "this assignment", name->at))
        return false;
    if (cell->is_array) {
        target->index = parse_physical_address(parser);
        if (target->index == NULL)
            return false;
    }
    return parse_target_bits(parser, target, cell->width);
}

static bool append_assignment(struct parser *parser, const struct target *target,
                              const struct isa_expression *value)
{
    struct isa_statement *statement = statement_append(
        parser, target->physical ? STATEMENT_PHYSICAL_WRITE : STATEMENT_ASSIGN, target->at);

    if (statement == NULL)
        return false;
    statement->cell = target->cell;
    statement->high = target->high;
    statement->low = target->low;
    if (target->physical) {
        statement->a = target->index;
        statement->c = value;
    } else {
        statement->index = target->index;
        statement->a = value;
    }
    return true;
}

bool parse_assignment(struct parser *parser, const struct token *name)
{
    const struct isa_expression *value;
    struct target target;

    if (!parse_target(parser, name, &target) || !parser_expect(parser, "="))
        return false;
    value = expression_adopt(parser, parse_expression(parser), target.high - target.low + 1);
    if (value == NULL || !parser_expect(parser, ";"))
        return false;
    return append_assignment(parser, &target, value);
}

/* "{a, b, c} = value;": the first target takes the highest bits. */
bool parse_spread(struct parser *parser)
{
    struct target targets[16];
    unsigned count = 0, total = 0;
    const struct isa_expression *value;

    do {
        const struct token *name = parser_expect_name(parser, "a cell");

        if (name == NULL)
            return false;
        if (count == 16) {
            parser_error(parser, name->at, "more than 16 cells in one assignment");
            return false;
        }
        if (!parse_target(parser, name, &targets[count]))
            return false;
        total += targets[count].high - targets[count].low + 1;
        count++;
    } while (parser_accept(parser, ","));
    if (!parser_expect(parser, "}") || !parser_expect(parser, "="))
        return false;
    if (total > 64) {
        parser_error(parser, targets[0].at, "these cells together are wider than 64 bits");
        return false;
    }
    value = statement_hoist(parser, expression_adopt(parser, parse_expression(parser), total));
    if (value == NULL || !parser_expect(parser, ";"))
        return false;
    for (unsigned i = 0; i < count; i++) {
        unsigned width = targets[i].high - targets[i].low + 1;
        struct isa_expression *part;

        total -= width;
        part = expression_new(parser, EXPRESSION_SLICE, width, targets[i].at);
        if (part == NULL)
            return false;
        part->a = value;
        part->low = total;
        part->high = total + width - 1;
        part->depth = (uint16_t)(value->depth + 1);
        part->weight = value->weight + 1;
        if (!append_assignment(parser, &targets[i], part))
            return false;
    }
    return true;
}
