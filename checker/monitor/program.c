/* SPDX-License-Identifier: MIT */
/* Program: a two-pass assembler whose mnemonics are the description's. */
#include "program.h"
#include "messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct assembler {
    struct program *program;
    const struct isa_description *description;
    struct machine_state *state;
    const struct token *token;
    uint64_t address;
    bool emit; /* the second pass */
};

static bool failed(const struct assembler *a)
{
    return a->program->diagnostics->failed;
}

static void error_at(const struct assembler *a, const struct token *token, const char *message)
{
    diagnostics_error(a->program->diagnostics, token->at, "%s", _(message));
}

/* --- lines --- */

/* The end of a line is the start of the next one: tokens know their lines. */
static bool at_line_end(const struct assembler *a)
{
    return a->token->kind == TOKEN_END || a->token == a->program->list.tokens ||
           a->token->at.line != a->token[-1].at.line;
}

static bool accept(struct assembler *a, const char *text)
{
    if (at_line_end(a) || !token_is(a->token, text))
        return false;
    a->token++;
    return true;
}

static void expect(struct assembler *a, const char *text)
{
    char message[64];

    if (accept(a, text) || failed(a))
        return;
    (void)snprintf(message, sizeof(message), _("expected '%s' here"), text);
    error_at(a, at_line_end(a) ? a->token - 1 : a->token, message);
}

/* --- values --- */

static bool same_text(const struct token *token, const char *text)
{
    return strlen(text) == token->length && memcmp(text, token->text, token->length) == 0;
}

static bool find_label(const struct assembler *a, const struct token *name, uint64_t *value)
{
    for (unsigned i = 0; i < a->program->label_count; i++) {
        const struct program_label *label = &a->program->labels[i];

        if (label->name->length == name->length &&
            memcmp(label->name->text, name->text, name->length) == 0) {
            *value = label->address;
            return true;
        }
    }
    return false;
}

static bool find_value_name(const struct assembler *a, const struct token *name, uint64_t *value)
{
    for (unsigned i = 0; i < a->description->cell_count; i++) {
        const struct isa_cell *cell = &a->description->cells[i];

        for (unsigned j = 0; j < cell->name_count; j++) {
            if (same_text(name, cell->names[j].name)) {
                *value = cell->names[j].value;
                return true;
            }
        }
    }
    return false;
}

static uint64_t term(struct assembler *a)
{
    const struct token *token = a->token;
    uint64_t value = 0;

    if (at_line_end(a)) {
        error_at(a, a->token - 1, "expected a value after this");
        return 0;
    }
    a->token++;
    if (token->kind == TOKEN_NUMBER)
        return token->value;
    if (token->kind != TOKEN_IDENTIFIER) {
        error_at(a, token, "expected a number, a label, the name of a value, or memsize");
        return 0;
    }
    if (token_is(token, "memsize"))
        return a->state->memory_size;
    if (!find_label(a, token, &value) && !find_value_name(a, token, &value) && a->emit)
        diagnostics_error(a->program->diagnostics, token->at, "nothing is called '%.*s'",
                          (int)token->length, token->text);
    return value;
}

/* A sum of terms that fits `width` bits; a difference may wrap within them. */
static uint64_t value(struct assembler *a, unsigned width)
{
    const struct token *start = a->token;
    uint64_t mask = width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
    uint64_t sum = accept(a, "-") ? 0 - term(a) : term(a);
    bool wraps = token_is(start, "-");

    while (!failed(a) && !at_line_end(a) && (token_is(a->token, "+") || token_is(a->token, "-"))) {
        bool minus = token_is(a->token++, "-");

        wraps = wraps || minus;
        sum = minus ? sum - term(a) : sum + term(a);
    }
    if (!failed(a) && a->emit && !wraps && (sum & ~mask) != 0)
        diagnostics_error(a->program->diagnostics, start->at, "%llu does not fit %u bit%s",
                          (unsigned long long)sum, width, width == 1 ? "" : "s");
    return sum & mask;
}

/* "{value : width, ...}", the first on top, or a plain value. */
static uint64_t word_value(struct assembler *a, unsigned width)
{
    const struct token *start = a->token;
    unsigned total = 0;
    uint64_t word = 0;

    if (!accept(a, "{"))
        return value(a, width);
    do {
        const struct token *part = a->token;
        unsigned part_width = 0;
        uint64_t bits;

        /* The width stands behind the value, which can't be checked before it is known. */
        while (!at_line_end(a) && !token_is(a->token, ":"))
            a->token++;
        expect(a, ":");
        if (!failed(a) && (at_line_end(a) || a->token->kind != TOKEN_NUMBER ||
                           a->token->value == 0 || a->token->value > 64))
            error_at(a, a->token - 1, "a width from 1 to 64 comes after this");
        if (failed(a))
            return 0;
        part_width = (unsigned)a->token->value;
        a->token = part;
        bits = value(a, part_width);
        expect(a, ":");
        a->token += !failed(a);
        total += part_width;
        word = (part_width >= 64 ? 0 : word << part_width) | bits;
    } while (!failed(a) && accept(a, ","));
    expect(a, "}");
    if (!failed(a) && total != width)
        diagnostics_error(a->program->diagnostics, start->at,
                          "these parts make %u bits; a memory cell has %u", total, width);
    return word;
}

/* --- what lines do --- */

static void emit(struct assembler *a, const struct token *at, uint64_t word)
{
    if (a->address >= a->state->memory_size) {
        diagnostics_error(a->program->diagnostics, at->at,
                          "address %llu is beyond the memory of this machine, %u cells",
                          (unsigned long long)a->address, a->state->memory_size);
        return;
    }
    if (a->emit)
        machine_state_memory(a->state, a->description)[a->address] = word;
    a->address++;
}

static void line_word(struct assembler *a)
{
    unsigned width = a->description->cells[a->description->memory_cell].width;

    do {
        const struct token *at = a->token;

        emit(a, at, word_value(a, width));
    } while (!failed(a) && accept(a, ","));
}

static void line_at(struct assembler *a)
{
    const struct token *at = a->token;

    a->address = value(a, 32);
    if (!failed(a) && a->address >= a->state->memory_size)
        emit(a, at, 0);
}

static void line_cell(struct assembler *a)
{
    const struct token *name = a->token;
    const struct isa_cell *cell = NULL;
    uint64_t element = 0;

    for (unsigned i = 0; !at_line_end(a) && i < a->description->cell_count; i++)
        if (same_text(name, a->description->cells[i].name))
            cell = &a->description->cells[i];
    if (cell == NULL || cell->role == ROLE_MEMORY) {
        error_at(a, at_line_end(a) ? name - 1 : name,
                 "expected the name of a cell of the description, other than memory");
        return;
    }
    a->token++;
    if (cell->is_array) {
        expect(a, "[");
        element = failed(a) ? 0 : value(a, 32);
        expect(a, "]");
        if (!failed(a) && element >= cell->count)
            diagnostics_error(a->program->diagnostics, name->at, "%s has %u elements", cell->name,
                              cell->count);
    }
    expect(a, "=");
    if (failed(a))
        return;
    a->state->values[cell->offset + element] = value(a, cell->width);
}

static void line_start(struct assembler *a)
{
    const struct isa_cell *pc = &a->description->cells[a->description->pc_cell];

    a->state->values[pc->offset] = value(a, pc->width);
}

static uint64_t operand_value(struct assembler *a, const struct isa_operand *operand)
{
    const struct token *at = a->token;
    uint64_t number = value(a, operand->width);

    if (operand->domain == NULL || !a->emit || failed(a))
        return number;
    for (uint32_t i = 0; i < operand->domain_count; i++)
        if (operand->domain[i] == number)
            return number;
    diagnostics_error(a->program->diagnostics, at->at, "operand '%s' may not be %llu",
                      operand->name, (unsigned long long)number);
    return number;
}

static void line_instruction(struct assembler *a, const struct isa_instruction *instruction)
{
    const struct token *at = a->token++;
    uint64_t operands[ISA_MAX_OPERANDS] = { 0 }, words[ISA_MAX_WORDS] = { 0 };

    if (instruction->words == 0) {
        error_at(a, at, "this instruction has no encoding in the description");
        return;
    }
    for (unsigned i = 0; i < instruction->operand_count && !failed(a); i++) {
        if (i > 0)
            expect(a, ",");
        if (!failed(a))
            operands[i] = operand_value(a, &instruction->operands[i]);
    }
    if (failed(a))
        return;
    encode_instruction(a->description, instruction, operands, words);
    for (unsigned i = 0; i < instruction->words && !failed(a); i++)
        emit(a, at, words[i]);
}

static void define_label(struct assembler *a)
{
    struct program *program = a->program;
    uint64_t old;

    if (!a->emit && find_label(a, a->token, &old)) {
        error_at(a, a->token, "this label stands at another place already");
    } else if (!a->emit && program->label_count == PROGRAM_MAX_LABELS) {
        error_at(a, a->token, "too many labels");
    } else if (!a->emit) {
        program->labels[program->label_count].name = a->token;
        program->labels[program->label_count++].address = a->address;
    }
    a->token += 2;
}

struct line_row {
    const char *keyword;
    void (*read)(struct assembler *a);
};

static const struct line_row line_rows[] = {
    { "word", line_word }, { "at", line_at }, { "cell", line_cell }, { "start", line_start }
};

static bool is_keyword(const struct token *token, const char *keyword)
{
    return token->kind == TOKEN_IDENTIFIER && same_text(token, keyword);
}

static void line_content(struct assembler *a)
{
    const struct token *first = a->token;

    for (size_t i = 0; i < sizeof(line_rows) / sizeof(line_rows[0]); i++) {
        if (is_keyword(first, line_rows[i].keyword)) {
            a->token++;
            line_rows[i].read(a);
            return;
        }
    }
    if (is_keyword(first, "set")) {
        a->token += 4; /* program_read looked at them */
        return;
    }
    for (unsigned i = 0; i < a->description->instruction_count; i++) {
        const struct isa_instruction *instruction = a->description->instructions[i];

        if ((first->kind == TOKEN_IDENTIFIER || first->kind == TOKEN_STRING) &&
            same_text(first, instruction->name)) {
            line_instruction(a, instruction);
            return;
        }
    }
    diagnostics_error(a->program->diagnostics, first->at,
                      "'%.*s' is neither an instruction of %.60s nor set, cell, start, at or word",
                      (int)(first->length > 60 ? 60 : first->length), first->text,
                      a->description->name);
}

static void assemble_line(struct assembler *a)
{
    uint32_t line = a->token->at.line;

    while (a->token->kind == TOKEN_IDENTIFIER && a->token[1].at.line == line &&
           token_is(&a->token[1], ":") && !failed(a)) {
        define_label(a);
        if (a->token->at.line != line)
            return;
    }
    if (failed(a) || a->token->kind == TOKEN_END)
        return;
    line_content(a);
    if (!failed(a) && !at_line_end(a))
        error_at(a, a->token, "there is more on this line than its instruction takes");
}

int program_assemble(struct program *program, const struct isa_description *description,
                     struct machine_state *state)
{
    struct assembler a = { .program = program, .description = description, .state = state };

    memset(state->values, 0, description->value_count * sizeof(*state->values));
    state->halted = false;
    machine_state_set_mode(state, description, description->supervisor);
    program->label_count = 0;
    for (int pass = 0; pass < 2; pass++) {
        a.token = program->list.tokens;
        a.address = 0;
        a.emit = pass == 1;
        while (a.token->kind != TOKEN_END && !failed(&a))
            assemble_line(&a);
    }
    return failed(&a) ? -EINVAL : 0;
}

/* --- settings --- */

static int read_setting(struct program *program, const struct token *token)
{
    struct isa_override *setting = &program->settings[program->setting_count];
    uint32_t line = token->at.line;

    for (int i = 1; i < 4; i++)
        if (token[i].kind == TOKEN_END || token[i].at.line != line)
            goto malformed;
    if (token[1].kind != TOKEN_IDENTIFIER || !token_is(&token[2], "=") ||
        token[3].kind != TOKEN_NUMBER)
        goto malformed;
    if (program->setting_count == PROGRAM_MAX_SETTINGS) {
        diagnostics_error(program->diagnostics, token->at, "too many settings");
        return -EINVAL;
    }
    setting->name = strndup(token[1].text, token[1].length);
    setting->value = token[3].value;
    if (setting->name == NULL)
        return -ENOMEM;
    program->setting_count++;
    return 0;
malformed:
    diagnostics_error(program->diagnostics, token->at, "a setting is: set PARAMETER = NUMBER");
    return -EINVAL;
}

int program_read(struct program *program, const char *text, size_t length,
                 struct diagnostics *diagnostics)
{
    int error;

    memset(program, 0, sizeof(*program));
    program->diagnostics = diagnostics;
    error = lexer_run(text, length, false, diagnostics, &program->list);
    for (size_t i = 0; error == 0 && i < program->list.count; i++) {
        const struct token *token = &program->list.tokens[i];
        bool first = i == 0 || token[-1].at.line != token->at.line;

        if (first && is_keyword(token, "set"))
            error = read_setting(program, token);
    }
    return error;
}

void program_release(struct program *program)
{
    for (unsigned i = 0; i < program->setting_count; i++)
        free((char *)(uintptr_t)program->settings[i].name);
    lexer_release(&program->list);
    program->setting_count = 0;
}

void program_print(const struct isa_instruction *instruction, const struct instruction_input *input,
                   char *text, size_t size)
{
    size_t used;

    (void)snprintf(text, size, strchr(instruction->name, ' ') != NULL ? "\"%s\"" : "%s",
                   instruction->name);
    for (unsigned i = 0; i < instruction->operand_count; i++) {
        used = strlen(text);
        (void)snprintf(text + used, size - used, "%s %llu", i == 0 ? "" : ",",
                       (unsigned long long)input->operands[i]);
    }
}
