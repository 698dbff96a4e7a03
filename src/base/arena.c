#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_SIZE ((size_t)8 * 1024)

struct block {
    struct block *next; /* the block filled before this one */
    size_t size;
    size_t used;
    alignas(max_align_t) char data[];
};

struct arena {
    struct block *current; /* the newest block; older ones hang behind it */
    struct block *spare;   /* empty blocks kept by a reset */
};

struct arena *arena_new(void)
{
    return calloc(1, sizeof(struct arena));
}

static void blocks_free(struct block *block)
{
    while (block) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    blocks_free(arena->current);
    blocks_free(arena->spare);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    size_t kept = 0;
    for (struct block *block = arena->spare; block; block = block->next)
        kept += block->size;
    while (arena->current) {
        struct block *block = arena->current;
        arena->current = block->next;
        if (block->size != BLOCK_SIZE || kept + block->size > ARENA_KEEP) {
            free(block);
            continue;
        }
        kept += block->size;
        block->used = 0;
        block->next = arena->spare;
        arena->spare = block;
    }
}

static struct block *block_take(struct arena *arena, size_t size)
{
    struct block *block = arena->spare;
    if (block && size <= BLOCK_SIZE) {
        arena->spare = block->next;
    } else {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        if (room > SIZE_MAX - sizeof *block)
            return NULL;
        block = malloc(sizeof *block + room);
        if (!block)
            return NULL;
        block->size = room;
        block->used = 0;
    }
    block->next = arena->current;
    arena->current = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX - align)
        return NULL;
    size_t rounded = (size + align - 1) / align * align;
    struct block *block = arena->current;
    if (!block || block->size - block->used < rounded)
        block = block_take(arena, rounded);
    if (!block)
        return NULL;
    void *memory = block->data + block->used;
    block->used += rounded;
    return memset(memory, 0, rounded);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return arena_alloc(arena, total);
}

char *arena_text(struct arena *arena, struct span span)
{
    char *text = span.size == SIZE_MAX ? NULL : arena_alloc(arena, span.size + 1);
    if (text && span.size)
        memcpy(text, span.data, span.size);
    return text;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

struct span arena_span(struct arena *arena, struct span span)
{
    char *text = arena_text(arena, span);
    return (struct span){.data = text, .size = text ? span.size : 0};
}
