/* SPDX-License-Identifier: MIT */
/* Tower: the cells of every machine through the VM map, and the life of a tower. */
#include "tower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned word_width(const struct isa_description *description)
{
    return description->cells[description->memory_cell].width;
}

/* What a monitor simulates instead of sharing it. */
static bool is_kept(const struct isa_cell *cell)
{
    return cell->role == ROLE_MODE || cell->role == ROLE_RELOCATION || cell->counted;
}

uint32_t tower_monitor_cells(const struct isa_description *description)
{
    uint32_t trap_cells = description->monitor_cells;
    uint32_t total = 1; /* bits; whether it halted */

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (is_kept(cell))
            total += cell->count * cell->width;
    }
    total = trap_cells + (total + word_width(description) - 1) / word_width(description);
    /* Whole multiples: a description may only know shifts by pages. */
    if (trap_cells > 1)
        total = (total + trap_cells - 1) / trap_cells * trap_cells;
    return total;
}

static int lay_out(struct tower *tower)
{
    const struct isa_description *description = tower->description;
    uint32_t next = 0;

    tower->monitor_cells = tower_monitor_cells(description);
    tower->memory_offset = description->cells[description->memory_cell].offset;
    tower->kept = calloc(description->value_count + 1, sizeof(*tower->kept));
    if (tower->kept == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        for (uint32_t j = 0; is_kept(cell) && j < cell->count; j++) {
            tower->kept[cell->offset + j].bit = next;
            tower->kept[cell->offset + j].width = cell->width;
            next += cell->width;
        }
    }
    tower->kept_halted.bit = next;
    tower->kept_halted.width = 1;
    return 0;
}

static int size_levels(struct tower *tower)
{
    const struct isa_description *description = tower->description;
    uint32_t memory = description->cells[description->memory_cell].count;
    uint32_t k = tower->monitor_cells;

    for (unsigned n = 0; n <= tower->depth; n++) {
        if (memory <= n * k)
            return -E2BIG;
        tower->levels[n].memory_size = memory - n * k;
    }
    if (tower->depth > 0 && (description->shift_width < 32) && k >> description->shift_width != 0)
        return -ERANGE;
    return 0;
}

static int allocate(struct tower *tower)
{
    const struct isa_description *description = tower->description;
    int error = machine_state_init(&tower->hardware, description);

    if (machine_state_init(&tower->scratch, description) != 0 ||
        machine_state_init(&tower->image, description) != 0)
        error = -ENOMEM;
    tower->direct_by = calloc(description->instruction_count + 1, sizeof(uint64_t));
    if (tower->direct_by == NULL)
        error = -ENOMEM;
    for (unsigned n = 0; n <= tower->depth; n++) {
        struct tower_level *level = &tower->levels[n];

        level->counters.by_instruction =
            calloc(description->instruction_count + 1, sizeof(uint64_t));
        level->own = calloc(description->value_count + 1, sizeof(uint64_t));
        if (level->own == NULL || level->counters.by_instruction == NULL ||
            machine_state_init(&level->before, description) != 0 ||
            machine_state_init(&level->after, description) != 0)
            error = -ENOMEM;
    }
    return error;
}

int tower_init(struct tower *tower, const struct isa_description *description,
               const struct monitor_plan *plan, unsigned depth)
{
    int error = 0;

    memset(tower, 0, sizeof(*tower));
    tower->description = description;
    tower->plan = plan;
    tower->depth = depth;
    if (depth > TOWER_MAX_DEPTH || description->memory_cell < 0)
        return -E2BIG;
    error = lay_out(tower);
    if (error == 0)
        error = size_levels(tower);
    if (error == 0)
        error = allocate(tower);
    if (error == 0 && depth > 0 && plan->kind == MONITOR_PATCHING)
        error = patch_init(tower);
    if (error != 0)
        tower_release(tower);
    return error;
}

void tower_release(struct tower *tower)
{
    for (unsigned n = 0; n <= tower->depth && n <= TOWER_MAX_DEPTH; n++) {
        free(tower->levels[n].counters.by_instruction);
        free(tower->levels[n].own);
        machine_state_release(&tower->levels[n].before);
        machine_state_release(&tower->levels[n].after);
    }
    machine_state_release(&tower->hardware);
    machine_state_release(&tower->scratch);
    machine_state_release(&tower->image);
    free(tower->kept);
    free(tower->direct_by);
    free(tower->patches);
    memset(tower, 0, sizeof(*tower));
}

/* A run of bits within one cell of machine `below`: as much of a kept number as lies in it. */
struct fragment {
    uint32_t place;
    unsigned shift, width;
    uint64_t mask;
};

static struct fragment fragment_at(const struct tower *tower, const struct kept_place *kept,
                                   unsigned done)
{
    unsigned per_cell = word_width(tower->description);
    uint32_t bit = kept->bit + done;
    struct fragment fragment = { .shift = bit % per_cell };

    fragment.place = tower->memory_offset + tower->description->monitor_cells + bit / per_cell;
    fragment.width = per_cell - fragment.shift;
    if (fragment.width > kept->width - done)
        fragment.width = kept->width - done;
    fragment.mask = fragment.width >= 64 ? UINT64_MAX : ((uint64_t)1 << fragment.width) - 1;
    return fragment;
}

static uint64_t read_kept(const struct tower *tower, unsigned below, const struct kept_place *kept)
{
    uint64_t value = 0;

    for (unsigned done = 0; done < kept->width;) {
        struct fragment fragment = fragment_at(tower, kept, done);
        uint64_t cell = tower_read(tower, below, fragment.place);

        value |= (cell >> fragment.shift & fragment.mask) << done;
        done += fragment.width;
    }
    return value;
}

static void write_kept(struct tower *tower, unsigned below, const struct kept_place *kept,
                       uint64_t value)
{
    for (unsigned done = 0; done < kept->width;) {
        struct fragment fragment = fragment_at(tower, kept, done);
        uint64_t cell = tower_read(tower, below, fragment.place);

        cell &= ~(fragment.mask << fragment.shift);
        cell |= (value >> done & fragment.mask) << fragment.shift;
        tower_write(tower, below, fragment.place, cell);
        done += fragment.width;
    }
}

uint64_t tower_read(const struct tower *tower, unsigned level, uint32_t place)
{
    for (; level > 0; level--) {
        if (place >= tower->memory_offset)
            place += tower->monitor_cells;
        else if (tower->kept[place].width != 0)
            return read_kept(tower, level - 1, &tower->kept[place]);
    }
    return tower->hardware.values[place];
}

void tower_write(struct tower *tower, unsigned level, uint32_t place, uint64_t value)
{
    for (; level > 0; level--) {
        if (place >= tower->memory_offset) {
            place += tower->monitor_cells;
        } else if (tower->kept[place].width != 0) {
            write_kept(tower, level - 1, &tower->kept[place], value);
            return;
        }
    }
    tower->hardware.values[place] = value;
}

bool tower_halted(const struct tower *tower, unsigned level)
{
    for (; level > 0; level--)
        if (read_kept(tower, level - 1, &tower->kept_halted) != 0)
            return true;
    return tower->hardware.halted;
}

void tower_set_halted(struct tower *tower, unsigned level)
{
    if (level == 0)
        tower->hardware.halted = true;
    else
        write_kept(tower, level - 1, &tower->kept_halted, 1);
}

void tower_view(const struct tower *tower, unsigned level, struct machine_state *state)
{
    uint32_t memory_end = tower->memory_offset + tower->levels[level].memory_size;

    state->memory_size = tower->levels[level].memory_size;
    state->halted = tower_halted(tower, level);
    for (uint32_t place = 0; place < tower->memory_offset; place++)
        state->values[place] = tower_read(tower, level, place);
    /* A window of the hardware's memory, as every monitor's shift is the same. */
    memcpy(state->values + tower->memory_offset,
           tower->hardware.values + tower->memory_offset + level * tower->monitor_cells,
           (memory_end - tower->memory_offset) * sizeof(uint64_t));
}

unsigned tower_index(const struct tower *tower, const struct isa_instruction *instruction)
{
    unsigned index = 0;

    while (index < tower->description->instruction_count &&
           tower->description->instructions[index] != instruction)
        index++;
    return index;
}

uint64_t tower_choice(uint64_t seed, uint64_t step, unsigned site)
{
    uint64_t z = seed + (step * ISA_MAX_CHOICES + site + 1) * 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void tower_choose(const struct tower *tower, struct step_record *record)
{
    for (unsigned i = 0; record->instruction != NULL && i < record->instruction->choice_count;
         i++) {
        unsigned width = record->instruction->choice_width[i];
        uint64_t mask = width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;

        record->input.choices[i] = tower_choice(tower->seed, tower->step, i) & mask;
    }
}

static void reset(struct tower *tower)
{
    const struct isa_description *description = tower->description;
    size_t by_instruction = description->instruction_count * sizeof(uint64_t);

    memset(tower->hardware.values, 0, description->value_count * sizeof(uint64_t));
    tower->hardware.halted = false;
    tower->trouble = TROUBLE_NONE;
    tower->direct = 0;
    tower->innocuous_indirect = 0;
    tower->patch_trap = NULL;
    memset(&tower->patch, 0, sizeof(tower->patch));
    memset(tower->direct_by, 0, by_instruction);
    for (unsigned n = 0; n <= tower->depth; n++) {
        uint64_t *counts = tower->levels[n].counters.by_instruction;

        memset(counts, 0, by_instruction);
        memset(&tower->levels[n].counters, 0, sizeof(tower->levels[n].counters));
        tower->levels[n].counters.by_instruction = counts;
        tower->levels[n].interpreting = false;
    }
    if (tower->patches != NULL)
        for (uint32_t i = 0; i < tower->levels[0].memory_size; i++)
            tower->patches[i].valid = false;
}

/* Gives counted resources other values, all at once or one at a time, keeping what is valid. */
static void vary_resources(const struct tower *tower, struct machine_state *state, uint64_t seed,
                           bool one_by_one)
{
    const struct isa_description *description = tower->description;

    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];
        uint64_t mask = cell->width >= 64 ? UINT64_MAX : ((uint64_t)1 << cell->width) - 1;

        for (uint32_t j = 0; cell->counted && j < cell->count; j++) {
            uint64_t *value = &state->values[cell->offset + j], old = *value;

            *value = tower_choice(seed, i, j) & mask;
            if (one_by_one && !evaluate_valid(description, state))
                *value = old;
        }
    }
}

/* What the host keeps to itself while its guest runs: anything that the invariants allow. */
static void choose_own(struct tower *tower, unsigned level, uint64_t seed,
                       const struct machine_state *guest)
{
    enum { TRIES = 1000 };
    const struct isa_description *description = tower->description;
    struct machine_state *state = &tower->scratch;
    uint64_t own = ~seed + level * 0x9e3779b9u;

    machine_state_copy(state, guest, description);
    machine_state_set_mode(state, description, description->user);
    for (unsigned try = 0; try < TRIES && !evaluate_valid(description, state); try++)
        vary_resources(tower, state, own + try, false);
    vary_resources(tower, state, own, evaluate_valid(description, state));
    memcpy(tower->levels[level].own, state->values, tower->memory_offset * sizeof(uint64_t));
}

void tower_load(struct tower *tower, const struct machine_state *guest, uint64_t seed)
{
    uint32_t end = tower->memory_offset + tower->levels[tower->depth].memory_size;

    reset(tower);
    for (uint32_t place = 0; place < end; place++)
        tower_write(tower, tower->depth, place, guest->values[place]);
    if (guest->halted)
        tower_set_halted(tower, tower->depth);
    /* The inner monitors boot first: each finds its machine in supervisor mode. */
    for (unsigned n = 1; n < tower->depth; n++)
        tower_write(tower, n, tower->description->cells[tower->description->mode_cell].offset,
                    tower->description->supervisor);
    for (unsigned n = 0; n < tower->depth; n++)
        choose_own(tower, n, seed, guest);
    for (unsigned n = tower->depth; n > 0; n--)
        allocator_resume(tower, n);
    for (unsigned n = 1; n <= tower->depth; n++) {
        tower->levels[n].counters.allocator = 0;
        tower->levels[n].counters.nested = 0;
    }
}

void tower_step(struct tower *tower, uint64_t seed, uint64_t step, struct step_record *record)
{
    unsigned level = tower->depth;

    tower->seed = seed;
    tower->step = step;
    tower->patch_trap = NULL;
    memset(record, 0, sizeof(*record));
    if (tower->trouble != TROUBLE_NONE || tower_halted(tower, tower->depth))
        return;
    while (level > 0 && !tower->levels[level].interpreting)
        level--;
    if (level == 0) {
        hardware_step(tower, record);
        return;
    }
    interpreter_step(tower, level, record);
    for (unsigned n = level; n > 0; n--)
        allocator_resume(tower, n);
}
