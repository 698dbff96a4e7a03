#include "route/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool list_grow(struct fault_list *list)
{
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity ? list->capacity * 2 : 16;
    struct fault *faults = reallocarray(list->faults, capacity, sizeof *faults);
    if (!faults)
        return false;
    list->faults = faults;
    list->capacity = capacity;
    return true;
}

static char *text_format(struct arena *arena, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, arguments);
    return text;
}

/* The list's own copy of a file's name; faults of one file mostly come one after the other. */
static const char *file_keep(struct fault_list *list, const char *file)
{
    const char *last = list->count ? list->faults[list->count - 1].file : "";
    return strcmp(last, file) == 0 && list->count ? last : arena_text(list->arena, span_of(file));
}

void fault_add_arguments(struct fault_list *list, const char *file, unsigned line, unsigned column,
                         const char *format, va_list arguments)
{
    const char *text = text_format(list->arena, format, arguments);
    const char *kept = file_keep(list, file);
    if (!text || !kept || !list_grow(list)) {
        list->failed = true;
        return;
    }
    list->faults[list->count++] =
        (struct fault){.file = kept, .line = line, .column = column, .text = text};
}

void fault_add(struct fault_list *list, const char *file, unsigned line, unsigned column,
               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fault_add_arguments(list, file, line, column, format, arguments);
    va_end(arguments);
}

static int number_compare(unsigned a, unsigned b)
{
    return (a > b) - (a < b);
}

static int fault_compare(const struct fault *a, const struct fault *b)
{
    int order = strcmp(a->file, b->file);
    if (!order)
        order = number_compare(a->line, b->line);
    return order ? order : number_compare(a->column, b->column);
}

/* Insertion keeps the order of equals, and faults are found nearly in order. */
void fault_sort(struct fault_list *list)
{
    for (size_t i = 1; i < list->count; i++) {
        struct fault fault = list->faults[i];
        size_t at = i;
        for (; at > 0 && fault_compare(&list->faults[at - 1], &fault) > 0; at--)
            list->faults[at] = list->faults[at - 1];
        list->faults[at] = fault;
    }
}

void fault_list_free(struct fault_list *list)
{
    if (!list)
        return;
    free(list->faults);
    *list = (struct fault_list){.arena = list->arena};
}

void fault_log(enum log_level level, const char *event, struct fault_list *faults)
{
    fault_sort(faults);
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->faults[i];
        if (fault->line)
            log_event(level, event, "%s:%u: %s", fault->file, fault->line, fault->text);
        else
            log_event(level, event, "%s: %s", fault->file, fault->text);
    }
}

void fault_print(const struct fault *fault, FILE *to)
{
    fprintf(to, "%s", fault->file);
    if (fault->line)
        fprintf(to, ":%u", fault->line);
    if (fault->column)
        fprintf(to, ":%u", fault->column);
    fprintf(to, ": %s\n", fault->text);
}
