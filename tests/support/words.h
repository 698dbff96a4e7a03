/*
 * What test programs read: lines of words with tabs between them, each `name=text`, by a table.
 */
#ifndef LARDER_TESTS_SUPPORT_WORDS_H
#define LARDER_TESTS_SUPPORT_WORDS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
    const char *name;
    void (*set)(void *request, char *text);
};

/* A word that no table has, or that lacks its text, ends the program. */
static inline void word_set(const struct word *words, size_t count, void *request, char *word)
{
    char *text = strchr(word, '=');
    if (text)
        *text++ = '\0';
    for (size_t i = 0; text && i < count; i++)
        if (strcmp(words[i].name, word) == 0) {
            words[i].set(request, text);
            return;
        }
    fprintf(stderr, "unknown word %s\n", word);
    exit(2);
}

static inline void words_set(const struct word *words, size_t count, void *request, char *line)
{
    for (char *word = strsep(&line, "\t"); word; word = strsep(&line, "\t"))
        word_set(words, count, request, word);
}

#endif
