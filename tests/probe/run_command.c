/* SPDX-License-Identifier: MIT */
#include "run_command.h"
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char *read_all(FILE *file)
{
    long length;
    char *text;
    size_t got;

    if (fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0)
        return NULL;
    rewind(file);
    text = malloc((size_t)length + 1);
    if (text == NULL)
        return NULL;
    got = fread(text, 1, (size_t)length, file);
    text[got] = '\0';
    return text;
}

int run_command(char **argv, prepare_function *prepare, char **output)
{
    FILE *file = tmpfile();
    int argc = 0, status;
    pid_t child;

    *output = NULL;
    if (file == NULL)
        return -1;
    while (argv[argc] != NULL)
        argc++;
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        if (dup2(fileno(file), STDOUT_FILENO) < 0)
            _exit(99);
        if (prepare != NULL)
            prepare();
        status = command_probe(argc, argv);
        (void)fflush(NULL);
        _exit(status);
    }
    if (child > 0 && waitpid(child, &status, 0) == child)
        *output = read_all(file);
    (void)fclose(file);
    return *output != NULL && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
