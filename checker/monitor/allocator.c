/* SPDX-License-Identifier: MIT */
/*
 * The allocator A: asked on every attempt to change relocation or a counted resource, and the only
 * one that ever changes what the machine below really has.
 *
 * A guest's memory reaches to the end of the machine below, so every window that it asks for is
 * either its own memory or beyond both machines' ends alike: A grants it as f(R) = R moved by k.
 * Where f has no value - the sum overflows, or the state lies outside what the analysis proved -
 * A refuses to let the guest run on the machine below, and the monitor interprets instead.
 */
#include "tower.h"

/* Attempts to change resources; the mode is simulated, not handed out. */
static bool is_resource(const struct isa_cell *cell)
{
    return cell->role == ROLE_RELOCATION || cell->counted;
}

void allocator_commit(struct tower *tower, unsigned level, bool asks)
{
    struct tower_level *at = &tower->levels[level];
    uint32_t end = tower->memory_offset + at->memory_size;

    if (asks)
        at->counters.allocator++;
    for (uint32_t place = 0; place < end; place++)
        if (at->before.values[place] != at->after.values[place])
            tower_write(tower, level, place, at->after.values[place]);
    if (at->after.halted && !at->before.halted)
        tower_set_halted(tower, level);
}

void allocator_operate(struct tower *tower, unsigned level, uint32_t place, uint64_t value)
{
    uint32_t element;

    if (level > 0) {
        tower->levels[level].counters.nested++;
        if (is_resource(description_cell_at(tower->description, place, &element)))
            tower->levels[level].counters.allocator++;
    }
    tower_write(tower, level, place, value);
}

/* f of everything but memory, into tower->image; false where f has no value. */
static bool make_image(struct tower *tower, unsigned level)
{
    const struct isa_description *description = tower->description;
    struct machine_state *image = &tower->image;

    for (uint32_t place = 0; place < tower->memory_offset; place++)
        image->values[place] = tower_read(tower, level, place);
    image->memory_size = tower->levels[level].memory_size;
    if (!evaluate_valid(description, image) ||
        evaluate_relocate(description, image, tower->monitor_cells) != 0)
        return false;
    machine_state_set_mode(image, description, description->user);
    image->memory_size = tower->levels[level - 1].memory_size;
    return evaluate_valid(description, image);
}

void allocator_resume(struct tower *tower, unsigned level)
{
    const struct isa_description *description = tower->description;
    uint32_t mode = description->cells[description->mode_cell].offset;
    struct tower_level *at = &tower->levels[level];

    at->interpreting = (tower->plan->kind == MONITOR_HYBRID &&
                        tower_read(tower, level, mode) == description->supervisor) ||
                       !make_image(tower, level);
    if (at->interpreting)
        return;
    for (unsigned i = 0; i < description->cell_count; i++) {
        const struct isa_cell *cell = &description->cells[i];

        if (cell->role != ROLE_MODE && cell->role != ROLE_RELOCATION)
            continue;
        for (uint32_t j = 0; j < cell->count; j++) {
            uint32_t place = cell->offset + j;

            if (tower_read(tower, level - 1, place) != tower->image.values[place])
                allocator_operate(tower, level - 1, place, tower->image.values[place]);
        }
    }
}
