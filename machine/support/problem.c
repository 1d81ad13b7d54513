/* SPDX-License-Identifier: MIT */
/* problem.c - filling in the one line that says what went wrong. */
#include "problem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WHOLE_MAX 8192 /* two file names and more */
#define GAP       "..."

/* What is too long loses its middle: it begins with a file's name and ends with the reason. */
static void shorten(char *text, size_t size, const char *whole, size_t length)
{
    size_t tail = size / 2, head = size - tail - strlen(GAP);

    memcpy(text, whole, head);
    memcpy(text + head, GAP, strlen(GAP));
    memcpy(text + head + strlen(GAP), whole + length - tail + 1, tail);
}

int problem_set(struct problem *problem, int status, int error, const char *format, ...)
{
    char whole[WHOLE_MAX];
    va_list arguments;

    problem->status = status;
    va_start(arguments, format);
    vsnprintf(whole, sizeof(whole), format, arguments);
    va_end(arguments);
    size_t length = strlen(whole);
    if (length < sizeof(problem->text))
        memcpy(problem->text, whole, length + 1);
    else
        shorten(problem->text, sizeof(problem->text), whole, length);
    for (char *at = problem->text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    return -error;
}
