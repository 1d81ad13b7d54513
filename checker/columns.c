/* SPDX-License-Identifier: MIT */
/* Columns: see columns.h. */
#include "columns.h"

#include <stdbool.h>
#include <string.h>
#include <wchar.h>

enum { FIRST_WIDE = 0x1100 }; /* before it nothing is wide: where the locale can't tell */

size_t columns_character(const char *text, uint32_t *character)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char first = (unsigned char)*text;
    size_t length = first < 0x80             ? 1
                    : (first & 0xe0) == 0xc0 ? 2
                    : (first & 0xf0) == 0xe0 ? 3
                    : (first & 0xf8) == 0xf0 ? 4
                                             : 0;
    uint32_t value = length < 2 ? first : first & (0xffu >> (length + 1));

    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80) {
            length = 0;
            break;
        }
        value = value << 6 | ((unsigned char)text[i] & 0x3f);
    }
    if (length == 0 || value < least[length] || value > 0x10ffff ||
        (value >= 0xd800 && value < 0xe000)) {
        *character = UINT32_MAX;
        return 1;
    }
    *character = value;
    return length;
}

static unsigned width_of(uint32_t character)
{
    int width = character == UINT32_MAX ? 1 : wcwidth((wchar_t)character);

    if (width >= 0)
        return (unsigned)width;
    return character >= FIRST_WIDE ? 2 : 1;
}

unsigned columns_of(const char *text)
{
    unsigned columns = 0;

    while (*text != '\0') {
        uint32_t character;

        text += columns_character(text, &character);
        columns += width_of(character);
    }
    return columns;
}

void columns_pad(const char *text, unsigned width, FILE *out)
{
    unsigned columns = columns_of(text);

    fputs(text, out);
    for (; columns < width; columns++)
        fputc(' ', out);
}

static bool closes(uint32_t character)
{
    static const uint32_t closing[] = {
        0x3001, 0x3002, 0xff09, 0x300d, 0x300f, 0xff1a, 0xff1f, 0xff01, 0x30fc, 0xff0c, 0x3011,
    };

    for (size_t i = 0; i < sizeof(closing) / sizeof(closing[0]); i++)
        if (character == closing[i])
            return true;
    return false;
}

static bool opens(uint32_t character)
{
    return character == 0xff08 || character == 0x300c || character == 0x300e || character == 0x3010;
}

/* Length in bytes of the next piece that must stay together, spaces before it left out. */
static size_t next_piece(const char *text)
{
    uint32_t character, next;
    size_t length = columns_character(text, &character);

    while (text[length] != '\0' && text[length] != ' ') {
        size_t more = columns_character(text + length, &next);

        if (!closes(next) && !opens(character) && (width_of(character) == 2 || width_of(next) == 2))
            break;
        character = next;
        length += more;
    }
    return length;
}

void columns_wrap(const char *text, unsigned used, unsigned indent, unsigned width, FILE *out)
{
    bool start = true;

    while (*text != '\0') {
        bool space = *text == ' ';
        char piece[512];
        size_t length;
        unsigned columns;

        text += strspn(text, " ");
        if (*text == '\0')
            break;
        length = next_piece(text);
        length = length < sizeof(piece) ? length : sizeof(piece) - 1;
        memcpy(piece, text, length);
        piece[length] = '\0';
        columns = columns_of(piece);
        if (!start && used + (space ? 1 : 0) + columns > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            used = indent;
        } else if (space && !start) {
            fputc(' ', out);
            used++;
        }
        fputs(piece, out);
        used += columns;
        text += length;
        start = false;
    }
    fputc('\n', out);
}
