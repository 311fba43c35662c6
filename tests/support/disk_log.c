/* Writes down what a program does to the files of one store, in the order in which it does it.

   Loaded before the C library (LD_PRELOAD).  LITEFLOW_DISK_LOG names the log, LITEFLOW_DISK_STORE the
   store: its file, and those beside it whose names begin with the same.  For the format see disk.py.

   An act is noted when it has been done, so what the log holds behind a sync came after it.  */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct head {
    char kind;
    uint8_t length;
    uint16_t unused;
    uint32_t size;
    uint64_t offset;
};

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The name of a file of the store as the log has it, "" for its directory; NULL for any other file. */
static const char *ours(const char *path)
{
    const char *store = getenv("LITEFLOW_DISK_STORE");
    if (store == NULL)
        return NULL;
    const char *name = strrchr(store, '/') + 1;
    size_t directory = (size_t)(name - store) - 1;
    if (strncmp(path, store, strlen(store)) == 0)
        return path + directory + 1;
    return strlen(path) == directory && strncmp(path, store, directory) == 0 ? "" : NULL;
}

static const char *name_of(int file, char *room)
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, room, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    room[length] = 0;
    return ours(room);
}

static void note(char kind, const char *name, uint64_t offset, const void *data, size_t size)
{
    const char *path = getenv("LITEFLOW_DISK_LOG");
    int log = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    struct head head = {kind, (uint8_t)strlen(name), 0, (uint32_t)size, offset};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)name, strlen(name)}, {(void *)data, size}};
    /* A log with holes would make a test of nothing. */
    if (log < 0 || writev(log, parts, 3) != (ssize_t)(sizeof head + strlen(name) + size))
        abort();
    close(log);
}

static void written(int file, const void *data, ssize_t size, off_t offset)
{
    char room[PATH_MAX];
    const char *name = size > 0 ? name_of(file, room) : NULL;
    if (name != NULL)
        note('W', name, (uint64_t)offset, data, (size_t)size);
}

static int noted(char kind, int file, uint64_t offset, int result)
{
    char room[PATH_MAX];
    const char *name = result == 0 ? name_of(file, room) : NULL;
    if (name != NULL)
        note(kind, name, offset, NULL, 0);
    return result;
}

ssize_t pwrite(int file, const void *data, size_t size, off_t offset)
{
    ssize_t done = REAL(pwrite)(file, data, size, offset);
    written(file, data, done, offset);
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset)
{
    ssize_t done = REAL(pwrite64)(file, data, size, offset);
    written(file, data, done, offset);
    return done;
}

ssize_t write(int file, const void *data, size_t size)
{
    ssize_t done = REAL(write)(file, data, size);
    if (done > 0)
        written(file, data, done, lseek(file, 0, SEEK_CUR) - done);
    return done;
}

int ftruncate(int file, off_t size)
{
    return noted('T', file, (uint64_t)size, REAL(ftruncate)(file, size));
}

int ftruncate64(int file, off64_t size)
{
    return noted('T', file, (uint64_t)size, REAL(ftruncate64)(file, size));
}

int fsync(int file)
{
    return noted('S', file, 0, REAL(fsync)(file));
}

int fdatasync(int file)
{
    return noted('S', file, 0, REAL(fdatasync)(file));
}

int unlink(const char *path)
{
    int result = REAL(unlink)(path);
    const char *name = result == 0 ? ours(path) : NULL;
    if (name != NULL)
        note('U', name, 0, NULL, 0);
    return result;
}
