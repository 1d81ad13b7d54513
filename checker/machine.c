/* SPDX-License-Identifier: MIT */
/* Evaluator, second half: fetch, decode, step; and the encoder that decoding inverts. */
#include "evaluator.h"

#include <errno.h>
#include <string.h>

static unsigned word_width(const struct isa_description *description)
{
    return description->cells[description->memory_cell].width;
}

static uint64_t low_bits(unsigned width)
{
    return width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

/* Bits [position, position + width) of the encoding, counted from the first word's top. */
static uint64_t extract(const uint64_t *words, unsigned per_word, unsigned position, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++, position++) {
        unsigned bit = per_word - 1 - position % per_word;

        value = value << 1 | (words[position / per_word] >> bit & 1);
    }
    return value;
}

static bool in_domain(const struct isa_operand *operand, uint64_t value)
{
    if (operand->domain == NULL)
        return true;
    for (uint32_t i = 0; i < operand->domain_count; i++)
        if (operand->domain[i] == value)
            return true;
    return false;
}

static bool matches(const struct isa_instruction *instruction, unsigned per_word,
                    const uint64_t *words, struct instruction_input *input)
{
    unsigned position = 0;

    for (unsigned i = 0; i < instruction->field_count; i++) {
        const struct isa_field *field = &instruction->fields[i];
        uint64_t value = extract(words, per_word, position, field->width);

        position += field->width;
        if (field->operand == -1 && value != field->value)
            return false;
        if (field->operand < 0)
            continue;
        if (!in_domain(&instruction->operands[field->operand], value))
            return false;
        input->operands[field->operand] = value;
    }
    return true;
}

/* One more word of the encoding; false when the fetch traps. */
static bool fetch(const struct isa_description *description, const struct machine_state *state,
                  struct step_record *record)
{
    const struct isa_cell *pc = &description->cells[description->pc_cell];
    uint64_t address = (state->values[pc->offset] + record->word_count) & low_bits(pc->width);
    uint64_t physical = 0;

    if ((address & ~low_bits(description->map_address_width)) != 0 ||
        evaluate_map(description, state, address, machine_state_mode(state, description),
                     &physical) != 0)
        return false;
    record->words[record->word_count++] = machine_state_memory(state, description)[physical];
    return true;
}

int evaluate_decode(const struct isa_description *description, const struct machine_state *state,
                    struct step_record *record)
{
    memset(record, 0, sizeof(*record));
    record->outcome.kind = OUTCOME_FAULT;
    record->outcome.code = description->memory_code;
    if (description->pc_cell < 0 || description->memory_cell < 0 || !description->has_map ||
        !fetch(description, state, record))
        return -EFAULT;
    for (unsigned i = 0; i < description->instruction_count; i++) {
        const struct isa_instruction *instruction = description->instructions[i];
        unsigned first_bits = instruction->field_count == 0 ? 0 : instruction->fields[0].width;

        if (instruction->words == 0)
            continue;
        /* Look at the opcode before fetching further words: those may lie beyond a bound. */
        if (instruction->fields[0].operand == -1 && first_bits <= word_width(description) &&
            extract(record->words, word_width(description), 0, first_bits) !=
                instruction->fields[0].value)
            continue;
        while (record->word_count < instruction->words)
            if (!fetch(description, state, record))
                return -EFAULT;
        if (matches(instruction, word_width(description), record->words, &record->input)) {
            record->instruction = instruction;
            record->outcome.kind = OUTCOME_NORMAL;
            record->outcome.code = 0;
            return 0;
        }
    }
    record->outcome.kind = OUTCOME_TRAP;
    record->outcome.code = description->illegal_code;
    return -ENOEXEC;
}

int evaluate_step(const struct isa_description *description, struct machine_state *state,
                  struct machine_state *scratch, choose_function *choose, void *context,
                  struct step_record *record)
{
    if (state->halted) {
        memset(record, 0, sizeof(*record));
        return 0;
    }
    if (evaluate_decode(description, state, record) == 0) {
        const struct isa_instruction *instruction = record->instruction;

        for (unsigned i = 0; i < instruction->choice_count; i++)
            record->input.choices[i] = choose == NULL
                                           ? 0
                                           : choose(context, instruction->choice_width[i]) &
                                                 low_bits(instruction->choice_width[i]);
        machine_state_copy(scratch, state, description);
        record->outcome = evaluate_instruction(description, instruction, &record->input, scratch);
        if (record->outcome.kind == OUTCOME_NORMAL) {
            machine_state_copy(state, scratch, description);
            return 0;
        }
    }
    return evaluate_trap(description, state, record->outcome.code);
}

void encode_instruction(const struct isa_description *description,
                        const struct isa_instruction *instruction, const uint64_t *operands,
                        uint64_t *words)
{
    unsigned per_word = word_width(description);
    unsigned position = 0;

    memset(words, 0, instruction->words * sizeof(*words));
    for (unsigned i = 0; i < instruction->field_count; i++) {
        const struct isa_field *field = &instruction->fields[i];
        uint64_t value = field->operand >= 0 ? operands[field->operand] : field->value;

        for (unsigned bit = field->width; bit > 0; bit--, position++)
            if (field->operand != -2 && (value >> (bit - 1) & 1) != 0)
                words[position / per_word] |= (uint64_t)1 << (per_word - 1 - position % per_word);
    }
}
