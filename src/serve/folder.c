#include "serve/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 32

/* The folders on the way down to the one being read: a symbolic link to one of them is a loop. */
struct way {
    const struct way *up;
    dev_t device;
    ino_t inode;
    int depth;
};

struct reading {
    struct arena *arena;
    struct fault_list *faults;
    struct route_source *sources;
    size_t count, capacity;
    bool memory_out;
};

static void source_add(struct reading *reading, const char *file, struct span text)
{
    if (reading->count == reading->capacity) {
        size_t capacity = reading->capacity ? reading->capacity * 2 : 64;
        struct route_source *sources =
            arena_array(reading->arena, capacity, sizeof *reading->sources);
        if (!sources) {
            reading->memory_out = true;
            return;
        }
        if (reading->count)
            memcpy(sources, reading->sources, reading->count * sizeof *sources);
        reading->sources = sources;
        reading->capacity = capacity;
    }
    reading->sources[reading->count++] = (struct route_source){.file = file, .text = text};
}

/* Reads until the end or ROUTE_FILE_MAX + 1 bytes; the size, or -1 with errno. */
static ssize_t read_whole(int file, char *to)
{
    size_t size = 0;
    while (size <= ROUTE_FILE_MAX) {
        ssize_t got = read(file, to + size, ROUTE_FILE_MAX + 1 - size);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got == 0)
            break;
        if (got > 0)
            size += (size_t)got;
    }
    return (ssize_t)size;
}

static void file_read(struct reading *reading, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = malloc(ROUTE_FILE_MAX + 1);
    ssize_t size = file < 0 || !text ? -1 : read_whole(file, text);
    if (!text)
        reading->memory_out = true;
    else if (size < 0)
        fault_add(reading->faults, path, 0, 0, "can't be read: %m");
    else if ((size_t)size > ROUTE_FILE_MAX)
        fault_add(reading->faults, path, 0, 0, "is larger than a route file may be: 1 MB");
    else {
        struct span kept = arena_span(reading->arena, (struct span){text, (size_t)size});
        if (kept.data)
            source_add(reading, path, kept);
        else
            reading->memory_out = true;
    }
    free(text);
    if (file >= 0)
        close(file);
}

static bool ends_in_sql(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".sql") == 0;
}

static void folder_read(struct reading *reading, const char *path, const struct way *way);

static bool loops(const struct way *way)
{
    for (const struct way *up = way->up; up; up = up->up)
        if (up->device == way->device && up->inode == way->inode)
            return true;
    return false;
}

static void path_read(struct reading *reading, const char *path, const struct way *up)
{
    struct stat status;
    if (stat(path, &status) != 0)
        fault_add(reading->faults, path, 0, 0, "can't be read: %m");
    else if (S_ISDIR(status.st_mode))
        folder_read(reading, path,
                    &(struct way){up, status.st_dev, status.st_ino, up ? up->depth + 1 : 0});
    else if (!S_ISREG(status.st_mode) && (!up || ends_in_sql(path)))
        fault_add(reading->faults, path, 0, 0, "is neither a file nor a folder");
    else if (!up || ends_in_sql(path))
        file_read(reading, path);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void folder_read(struct reading *reading, const char *path, const struct way *way)
{
    struct dirent **entries;
    if (loops(way) || way->depth > DEPTH_MAX) {
        fault_add(reading->faults, path, 0, 0,
                  loops(way) ? "is a folder that holds itself, through a symbolic link"
                             : "is more than 32 folders deep");
        return;
    }
    int count = scandir(path, &entries, visible, alphasort);
    if (count < 0) {
        fault_add(reading->faults, path, 0, 0, "can't be read: %m");
        return;
    }
    for (int i = 0; i < count; i++) {
        const char *child = arena_format(reading->arena, "%s/%s", path, entries[i]->d_name);
        if (child)
            path_read(reading, child, way);
        else
            reading->memory_out = true;
        free(entries[i]);
    }
    free(entries);
}

bool route_folder_read(const char *path, struct arena *arena, struct fault_list *faults,
                       struct route_source **ret_sources, size_t *ret_count)
{
    struct reading reading = {.arena = arena, .faults = faults};
    size_t faults_before = faults->count;
    const char *name = arena_text(arena, span_of(path));
    if (!name)
        return false;
    path_read(&reading, name, NULL);
    if (reading.memory_out)
        return false;
    if (reading.count == 0 && faults->count == faults_before)
        fault_add(faults, name, 0, 0, "holds no route file: a name that ends in .sql");
    *ret_sources = reading.sources;
    *ret_count = reading.count;
    return true;
}
