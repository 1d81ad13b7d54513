/* SPDX-License-Identifier: MIT */
/* Small universes: see small_universe.h. */
#include "small_universe.h"
#include "random_machine.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VALID_TRIES = 1000000, ROUNDS = 12 };

static uint64_t mask_of(unsigned width)
{
    return width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

/* What expressions and statements mention, cell by cell. */

static void use_cell(struct small_universe *small, uint32_t index)
{
    const struct isa_cell *cell = &small->description->cells[index];

    for (uint32_t i = 0; i < cell->count; i++)
        small->used[cell->offset + i] = true;
}

static void use_expression(struct small_universe *small, const struct isa_expression *e)
{
    if (e == NULL)
        return;
    if (e->kind == EXPRESSION_CELL || e->kind == EXPRESSION_ELEMENT)
        use_cell(small, e->index);
    use_expression(small, e->a);
    use_expression(small, e->b);
    use_expression(small, e->c);
}

static void use_statements(struct small_universe *small, const struct isa_statement *statement)
{
    for (; statement != NULL; statement = statement->next) {
        use_expression(small, statement->a);
        use_expression(small, statement->b);
        use_expression(small, statement->c);
        use_expression(small, statement->index);
        if (statement->kind == STATEMENT_ASSIGN)
            use_cell(small, statement->cell);
        if (statement->kind == STATEMENT_LOAD || statement->kind == STATEMENT_STORE ||
            statement->kind == STATEMENT_PHYSICAL_READ ||
            statement->kind == STATEMENT_PHYSICAL_WRITE)
            use_cell(small, (uint32_t)small->description->memory_cell);
        use_statements(small, statement->body);
        use_statements(small, statement->otherwise);
    }
}

static void find_used(struct small_universe *small)
{
    const struct isa_description *description = small->description;

    memset(small->used, 0, (description->value_count + 1) * sizeof(*small->used));
    use_statements(small, small->instruction->body.first);
    use_statements(small, description->map.first);
    use_expression(small, description->relocate_guard);
    use_statements(small, description->relocate.first);
    if (description->pc_cell >= 0)
        use_cell(small, (uint32_t)description->pc_cell);
}

/* The valid states, as empty as the invariants let them be. */

static bool find_valid(struct small_universe *small, unsigned which)
{
    const struct isa_description *description = small->description;
    struct machine_state *state = &small->valid[which];
    uint32_t end = description->memory_cell >= 0
                       ? description->cells[description->memory_cell].offset
                       : description->value_count;
    uint64_t random = 1;
    uint32_t element;

    machine_state_set_mode(state, description,
                           which == 0 ? description->supervisor : description->user);
    for (int i = 0; i < VALID_TRIES && !evaluate_valid(description, state); i++)
        for (unsigned j = 0; j < description->cell_count; j++) {
            const struct isa_cell *cell = &description->cells[j];

            for (uint32_t k = 0;
                 cell->role != ROLE_MODE && cell->role != ROLE_MEMORY && k < cell->count; k++)
                state->values[cell->offset + k] = random_next(&random) & mask_of(cell->width);
        }
    if (!evaluate_valid(description, state))
        return false;
    for (uint32_t place = 0; place < end; place++) {
        uint64_t old = state->values[place];

        if (description_cell_at(description, place, &element)->role == ROLE_MODE)
            continue;
        state->values[place] = 0;
        if (!evaluate_valid(description, state))
            state->values[place] = old;
    }
    return true;
}

int small_universe_init(struct small_universe *small, const struct isa_description *description)
{
    size_t count = description->value_count + 1;

    memset(small, 0, sizeof(*small));
    small->description = description;
    small->places = calloc(count, sizeof(*small->places));
    small->used = calloc(count, sizeof(*small->used));
    small->universe.places = calloc(count, sizeof(*small->universe.places));
    if (small->places == NULL || small->used == NULL || small->universe.places == NULL ||
        machine_state_init(&small->valid[0], description) != 0 ||
        machine_state_init(&small->valid[1], description) != 0) {
        small_universe_release(small);
        return -ENOMEM;
    }
    if (find_valid(small, 0) && find_valid(small, 1))
        return 0;
    small_universe_release(small);
    return -ENOENT;
}

void small_universe_release(struct small_universe *small)
{
    free(small->places);
    free(small->used);
    free(small->universe.places);
    machine_state_release(&small->valid[0]);
    machine_state_release(&small->valid[1]);
    small->places = NULL;
    small->used = NULL;
    small->universe.places = NULL;
}

static bool contains(const struct small_set *set, uint64_t value)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->values[i] == value)
            return true;
    return false;
}

static bool add(struct small_set *set, uint64_t value)
{
    if (set->count == SMALL_SET_MAX || contains(set, value))
        return false;
    set->values[set->count++] = value;
    return true;
}

static void publish_set(struct search_set *to, const struct small_set *from)
{
    to->values = from->values;
    to->count = from->count;
}

static void publish(struct small_universe *small)
{
    for (uint32_t i = 0; i < small->description->value_count; i++)
        publish_set(&small->universe.places[i], &small->places[i]);
    for (unsigned i = 0; i < small->instruction->operand_count; i++)
        publish_set(&small->universe.operands[i], &small->operands[i]);
    for (unsigned i = 0; i < small->instruction->choice_count; i++)
        publish_set(&small->universe.choices[i], &small->choices[i]);
    publish_set(&small->universe.shift, &small->shift);
}

/* Memory has one set for all its cells: the first one's, copied to the others. */
static void spread_memory(struct small_universe *small)
{
    const struct isa_description *description = small->description;

    if (description->memory_cell < 0)
        return;
    for (uint32_t i = 1; i < description->cells[description->memory_cell].count; i++)
        small->places[description->cells[description->memory_cell].offset + i] =
            small->places[description->cells[description->memory_cell].offset];
}

/* Something that can grow: how many axes its set makes, in both states together. */
struct item {
    struct small_set *set;
    unsigned width, axes;
    const struct isa_operand *operand;
    bool first; /* relocation: without a window nothing can be seen */
};

static unsigned list_items(struct small_universe *small, struct item *items, unsigned capacity)
{
    const struct isa_description *description = small->description;
    const struct isa_instruction *instruction = small->instruction;
    unsigned count = 0;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        bool memory = cell->role == ROLE_MEMORY;

        for (uint32_t j = 0; cell->role != ROLE_MODE && j < (memory ? 1 : cell->count); j++)
            if (small->used[cell->offset + j] && count < capacity)
                items[count++] = (struct item){ &small->places[cell->offset + j], cell->width,
                                                memory          ? 2 * cell->count
                                                : cell->counted ? 2
                                                                : 1,
                                                NULL, cell->role == ROLE_RELOCATION };
    }
    for (unsigned i = 0; i < instruction->operand_count && count < capacity; i++)
        items[count++] = (struct item){ &small->operands[i], instruction->operands[i].width, 1,
                                        &instruction->operands[i], false };
    for (unsigned i = 0; i < instruction->choice_count && count < capacity; i++)
        items[count++] =
            (struct item){ &small->choices[i], instruction->choice_width[i], 1, NULL, false };
    if (count < capacity)
        items[count++] = (struct item){ &small->shift, description->shift_width, 1, NULL, false };
    return count;
}

static uint64_t candidate(const struct item *item, uint64_t *random)
{
    uint64_t choice = random_next(random), value = random_next(random);

    if (item->operand != NULL && item->operand->domain != NULL)
        return item->operand->domain[value % item->operand->domain_count];
    switch (choice % 6) {
    case 0:
        value = UINT64_MAX;
        break;
    case 1:
        value %= 5;
        break;
    case 2:
        value = (uint64_t)1 << value % item->width;
        break;
    case 3:
        value &= random_next(random);
        break;
    default:
        break;
    }
    return value & mask_of(item->width);
}

static void grow_one(struct small_universe *small, const struct item *item, double bits,
                     uint64_t *random)
{
    double more = item->axes * (log2(item->set->count + 1) - log2(item->set->count));

    if (small->bits + more <= bits && add(item->set, candidate(item, random)))
        small->bits += more;
}

/* What every universe starts from: the valid states, zeros, a shift of one. */
static void begin(struct small_universe *small, const struct isa_instruction *instruction)
{
    const struct isa_description *description = small->description;

    small->instruction = instruction;
    small->bits = 0;
    find_used(small);
    for (uint32_t i = 0; i < description->value_count; i++) {
        small->places[i].count = 0;
        for (int j = 0; j < 2; j++)
            (void)add(&small->places[i], small->valid[j].values[i]);
        small->bits += 2 * log2(small->places[i].count);
    }
    for (unsigned i = 0; i < instruction->operand_count; i++) {
        small->operands[i].count = 0;
        (void)add(&small->operands[i],
                  instruction->operands[i].domain != NULL ? instruction->operands[i].domain[0] : 0);
    }
    for (unsigned i = 0; i < instruction->choice_count; i++) {
        small->choices[i].count = 0;
        (void)add(&small->choices[i], 0);
    }
    small->shift.count = 0;
    (void)add(&small->shift, 1);
}

void small_universe_grow(struct small_universe *small, const struct isa_instruction *instruction,
                         uint64_t seed, double bits)
{
    struct item items[ISA_MAX_CELLS];
    uint64_t random = seed;
    unsigned count;

    begin(small, instruction);
    count = list_items(small, items, ISA_MAX_CELLS);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned start = (unsigned)(random_next(&random) % count);

        for (unsigned i = 0; i < count; i++)
            if (round > 1 || items[i].first == (round == 0))
                grow_one(small, &items[(start + i) % count], bits, &random);
    }
    spread_memory(small);
    publish(small);
}

static bool is_free(const struct isa_description *description, const struct witness *witness,
                    const struct isa_cell *cell, uint32_t element)
{
    switch (property_rows[witness->property].relation) {
    case RELATION_RELOCATED:
        return cell->role == ROLE_MEMORY;
    case RELATION_MODE:
        return cell->role == ROLE_MEMORY && property_equal_windows(description, witness->property);
    case RELATION_RESOURCES:
        return cell->counted;
    case RELATION_FOLDED:
        return cell->counted || (cell->role == ROLE_MEMORY && element < description->monitor_cells);
    default:
        return false;
    }
}

void small_universe_of(struct small_universe *small, const struct witness *witness)
{
    const struct isa_description *description = small->description;
    const struct isa_instruction *instruction = witness->instruction;
    struct small_set memory = { .count = 0 };

    begin(small, instruction);
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        for (uint32_t j = 0; j < cell->count; j++) {
            struct small_set *set =
                cell->role == ROLE_MEMORY ? &memory : &small->places[cell->offset + j];

            if (cell->role != ROLE_MEMORY)
                set->count = 0;
            if (cell->role != ROLE_MEMORY || j < witness->before[0].memory_size)
                (void)add(set, witness->before[0].values[cell->offset + j]);
            if (is_free(description, witness, cell, j))
                (void)add(set, witness->before[1].values[cell->offset + j]);
        }
    }
    if (description->memory_cell >= 0)
        small->places[description->cells[description->memory_cell].offset] = memory;
    for (unsigned i = 0; i < instruction->operand_count; i++) {
        small->operands[i].count = 0;
        (void)add(&small->operands[i], witness->input.operands[i]);
    }
    for (unsigned i = 0; i < instruction->choice_count; i++) {
        small->choices[i].count = 0;
        (void)add(&small->choices[i], witness->input.choices[i]);
    }
    if (property_rows[witness->property].relation == RELATION_RELOCATED) {
        small->shift.count = 0;
        (void)add(&small->shift, witness->shift);
    }
    spread_memory(small);
    publish(small);
}

static bool holds(const struct small_set *set, const char *name, uint32_t element, bool array,
                  uint64_t value, char *text, size_t size)
{
    if (contains(set, value))
        return true;
    if (array)
        (void)snprintf(text, size, "%s[%u] = %llu", name, element, (unsigned long long)value);
    else
        (void)snprintf(text, size, "%s = %llu", name, (unsigned long long)value);
    return false;
}

bool small_universe_holds(const struct small_universe *small, const struct witness *witness,
                          char *text, size_t size)
{
    const struct isa_description *description = small->description;
    const struct isa_instruction *instruction = witness->instruction;

    for (unsigned i = 0; i < instruction->operand_count; i++)
        if (!holds(&small->operands[i], instruction->operands[i].name, 0, false,
                   witness->input.operands[i], text, size))
            return false;
    for (unsigned i = 0; i < instruction->choice_count; i++)
        if (!holds(&small->choices[i], "choice", i, true, witness->input.choices[i], text, size))
            return false;
    if (property_rows[witness->property].relation == RELATION_RELOCATED &&
        !holds(&small->shift, "shift", 0, false, witness->shift, text, size))
        return false;
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        uint32_t count = cell->role == ROLE_MEMORY ? witness->before[0].memory_size : cell->count;

        for (uint32_t j = 0; j < cell->count && cell->role != ROLE_MODE; j++) {
            const struct small_set *set = &small->places[cell->offset + j];

            if (j < count && !holds(set, cell->name, j, cell->is_array,
                                    witness->before[0].values[cell->offset + j], text, size))
                return false;
            if (is_free(description, witness, cell, j) &&
                !holds(set, cell->name, j, cell->is_array,
                       witness->before[1].values[cell->offset + j], text, size))
                return false;
        }
    }
    return true;
}
