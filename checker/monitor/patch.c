/* SPDX-License-Identifier: MIT */
/*
 * Patching: the hardware fetches the guest's program from a copy, in which every instruction that
 * the plan calls critical is a trap code.
 *
 * Instructions are found when control first reaches them, so data is never mistaken for program.
 * The guest's memory keeps the program as it is, and loads and stores see that. An entry counts
 * only while memory still holds the words it was made from, so a program that changes itself, or
 * comes to lie elsewhere, needs no other care. With nested monitors the innermost one's copy is
 * what runs: the monitors below it would find nothing to replace in it.
 */
#include "tower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int patch_init(struct tower *tower)
{
    tower->patches = calloc(tower->levels[0].memory_size, sizeof(*tower->patches));
    return tower->patches == NULL ? -ENOMEM : 0;
}

/* Where word `index` of the instruction at the program counter lies; false: a memory trap. */
static bool locate(const struct tower *tower, unsigned index, uint64_t *physical)
{
    const struct isa_description *description = tower->description;
    const struct isa_cell *pc = &description->cells[description->pc_cell];
    uint64_t address = tower->hardware.values[pc->offset] + index;

    address &= pc->width >= 64 ? UINT64_MAX : ((uint64_t)1 << pc->width) - 1;
    if (description->map_address_width < 64 && address >> description->map_address_width != 0)
        return false;
    return evaluate_map(description, &tower->hardware, address,
                        machine_state_mode(&tower->hardware, description), physical) == 0;
}

/* Does the program still have what the entry was made from? */
static bool unchanged(const struct tower *tower, const struct patch_entry *entry)
{
    for (unsigned i = 0; i < entry->record.word_count; i++) {
        uint64_t physical = 0;

        if (!locate(tower, i, &physical) ||
            tower->hardware.values[tower->memory_offset + physical] != entry->record.words[i])
            return false;
    }
    return true;
}

struct patch_entry *patch_fetch(struct tower *tower)
{
    struct patch_entry *entry;
    uint64_t physical = 0;

    if (!locate(tower, 0, &physical))
        return NULL;
    entry = &tower->patches[physical];
    if (entry->valid && unchanged(tower, entry)) {
        tower->patch.hits++;
        return entry;
    }
    if (entry->valid)
        tower->patch.invalidated++;
    entry->valid = false;
    if (evaluate_decode(tower->description, &tower->hardware, &entry->record) != 0)
        return NULL;
    entry->valid = true;
    entry->replaced = tower->plan->rows[tower_index(tower, entry->record.instruction)].replaced;
    tower->patch.scanned++;
    if (entry->replaced)
        tower->patch.replaced++;
    return entry;
}

/* A word that no instruction has. Opcodes stand at the top, so that is where to look. */
static void find_trap_word(struct tower *tower, uint32_t place)
{
    const struct isa_description *description = tower->description;
    unsigned width = description->cells[description->memory_cell].width;
    unsigned bits = width < 16 ? width : 16;
    struct step_record record;

    tower->trap_word_known = true;
    machine_state_copy(&tower->scratch, &tower->hardware, description);
    for (uint64_t top = (uint64_t)1 << bits; top-- > 0;) {
        tower->trap_word = top << (width - bits);
        tower->scratch.values[place] = tower->trap_word;
        if (evaluate_decode(description, &tower->scratch, &record) == -ENOEXEC)
            return;
    }
    /* Every word is an instruction: the copy then holds a call of the monitor, as a recompiler
     * would emit it. */
    tower->trap_word = 0;
}

void patch_execute_trap(struct tower *tower, const struct patch_entry *entry,
                        struct step_record *record)
{
    if (!tower->trap_word_known)
        find_trap_word(tower, tower->memory_offset + (uint32_t)(entry - tower->patches));
    memset(record, 0, sizeof(*record));
    record->words[0] = tower->trap_word;
    record->word_count = 1;
    record->outcome.kind = OUTCOME_TRAP;
    record->outcome.code = tower->description->illegal_code;
}
