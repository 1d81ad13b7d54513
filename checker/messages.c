/* SPDX-License-Identifier: MIT */
/* Messages: see messages.h. Numbers keep the C locale's point, so that text and JSON agree. */
#include "messages.h"
#include "places.h"

#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <string.h>

#define DOMAIN "origami"

void messages_init(void)
{
    char catalogs[PATH_MAX];

    (void)setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        return;
    (void)setlocale(LC_MESSAGES, "");
    if (places_catalogs(catalogs, sizeof(catalogs)) != 0)
        return;
    (void)bindtextdomain(DOMAIN, catalogs);
    (void)bind_textdomain_codeset(DOMAIN, "UTF-8");
    (void)textdomain(DOMAIN);
}
