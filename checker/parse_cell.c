/* SPDX-License-Identifier: MIT */
/* Parser: the declaration of a cell, whatever its role. */
#include "messages.h"
#include "parser.h"

#include <string.h>

static bool parse_value_names(struct parser *parser, struct isa_cell *cell)
{
    struct isa_value_name *names = parser_allocate(parser, 32 * sizeof(*names));

    if (names == NULL)
        return false;
    cell->names = names;
    while (!parser_accept(parser, "}")) {
        const struct token *name = parser_expect_name(parser, "the name of a value or '}'");
        struct symbol *symbol;
        uint64_t value = 0;

        if (name == NULL || !parser_expect(parser, "=") ||
            !parse_constant(parser, 0, width_mask(cell->width), "a cell's value", &value))
            return false;
        if (cell->name_count == 32) {
            parser_error(parser, name->at, "more than 32 named values");
            return false;
        }
        symbol = parser_declare(parser, name, SYMBOL_CONSTANT);
        if (symbol == NULL)
            return false;
        symbol->value = value;
        symbol->width = cell->width;
        names[cell->name_count].name = parser_copy(parser, name);
        names[cell->name_count++].value = value;
        if (!token_is(parser_peek(parser), "}") && !parser_expect(parser, ","))
            return false;
    }
    return true;
}

static bool parse_cell_shape(struct parser *parser, struct isa_cell *cell)
{
    uint64_t count = 1;

    if (parser_accept(parser, "[")) {
        uint64_t most = cell->role == ROLE_MEMORY ? ISA_MAX_MEMORY : ISA_MAX_ELEMENTS;

        cell->is_array = true;
        if (!parse_constant(parser, 1, most, "the number of cells", &count) ||
            !parser_expect(parser, "]"))
            return false;
    }
    cell->count = (uint32_t)count;
    return parser_expect(parser, ":") && parse_width(parser, &cell->width);
}

/* A role that only one cell may have: its place in the description, or NULL. */
static int *single_role(struct isa_description *description, enum isa_role role)
{
    switch (role) {
    case ROLE_MODE:
        return &description->mode_cell;
    case ROLE_PC:
        return &description->pc_cell;
    case ROLE_MEMORY:
        return &description->memory_cell;
    default:
        return NULL;
    }
}

bool parse_cell(struct parser *parser, enum isa_role role)
{
    struct isa_description *description = parser->description;
    const struct token *name = parser_expect_name(parser, "the name of a cell");
    int *single = single_role(description, role);
    struct isa_cell *cell;
    struct symbol *symbol;

    if (name == NULL)
        return false;
    if (description->cell_count == ISA_MAX_CELLS) {
        parser_error(parser, name->at, "more than %d cells", ISA_MAX_CELLS);
        return false;
    }
    cell = &description->cells[description->cell_count];
    cell->at = name->at;
    cell->role = role;
    cell->name = parser_copy(parser, name);
    if (cell->name == NULL || !parse_cell_shape(parser, cell))
        return false;
    if (single != NULL && (*single >= 0 || cell->is_array != (role == ROLE_MEMORY))) {
        parser_error(parser, name->at,
                     *single >= 0 ? N_("there is a %s cell already")
                                  : N_("a %s cell has the other shape (memory is an array, mode "
                                       "and pc are not)"),
                     role_name(role));
        return false;
    }
    symbol = parser_declare(parser, name, SYMBOL_CELL);
    if (symbol == NULL)
        return false;
    symbol->value = description->cell_count;
    if (single != NULL)
        *single = (int)description->cell_count;
    description->cell_count++;
    if (role == ROLE_RESOURCE && parser_accept(parser, "optional"))
        cell->optional = true;
    if (parser_accept(parser, "{"))
        return parse_value_names(parser, cell) && (parser_accept(parser, ";") || true);
    return parser_expect(parser, ";");
}

/* Memory last: then a machine with less memory is a shorter state. */
void parser_assign_offsets(struct isa_description *description)
{
    uint32_t offset = 0;

    for (unsigned i = 0; i < description->cell_count; i++) {
        if (description->cells[i].role == ROLE_MEMORY)
            continue;
        description->cells[i].offset = offset;
        offset += description->cells[i].count;
    }
    if (description->memory_cell >= 0) {
        struct isa_cell *memory = &description->cells[description->memory_cell];

        memory->offset = offset;
        offset += memory->count;
        if (description->monitor_cells == 0)
            description->monitor_cells = memory->count >= 8 ? memory->count / 4 : 1;
    }
    description->value_count = offset;
}
