// Counts the heap calls of a process, for Tests/Benchmarks/allocations.py: preloaded with LD_PRELOAD it writes running
// totals to $CCBT_COUNT_DIR/PID, a mapped file that another process reads at any moment.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

struct totals {
    _Atomic unsigned long long calls, bytes;
    char name[240];  // the program's argv, blanks between
};

static struct totals unmapped, *totals = &unmapped;

static void count(size_t bytes) {
    atomic_fetch_add_explicit(&totals->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&totals->bytes, bytes, memory_order_relaxed);
}

__attribute__((constructor)) static void map_totals(void) {
    const char *folder = getenv("CCBT_COUNT_DIR");
    char path[4096];
    if (folder == NULL || snprintf(path, sizeof path, "%s/%d", folder, (int)getpid()) >= (int)sizeof path) return;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (ftruncate(fd, sizeof(struct totals)) == 0) {
        void *p = mmap(NULL, sizeof(struct totals), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
            totals = p;
            int arguments = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
            ssize_t n = arguments < 0 ? 0 : read(arguments, totals->name, sizeof totals->name - 1);
            for (ssize_t i = 0; i + 1 < n; i++)
                if (totals->name[i] == 0) totals->name[i] = ' ';
            if (arguments >= 0) close(arguments);
        }
    }
    close(fd);
}

void *malloc(size_t n) { count(n); return __libc_malloc(n); }
void *calloc(size_t n, size_t each) { count(n * each); return __libc_calloc(n, each); }
void *realloc(void *p, size_t n) { count(n); return __libc_realloc(p, n); }
void *memalign(size_t alignment, size_t n) { count(n); return __libc_memalign(alignment, n); }
void *aligned_alloc(size_t alignment, size_t n) { count(n); return __libc_memalign(alignment, n); }
int posix_memalign(void **p, size_t alignment, size_t n) {
    count(n);
    *p = __libc_memalign(alignment, n);
    return *p == NULL ? ENOMEM : 0;
}
