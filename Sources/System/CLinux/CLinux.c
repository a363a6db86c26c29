#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Static_assert(CL_PASS_CONTROL >= CMSG_SPACE(CL_PASS_LIMIT * sizeof(int)), "control buffer holds a full set");
_Static_assert(CL_RESOLVE_BENEATH == RESOLVE_BENEATH && CL_RESOLVE_NO_SYMBOLIC_LINKS == RESOLVE_NO_SYMLINKS, "resolve bits");
_Static_assert(CL_RESOLVE_NO_MAGIC_LINKS == RESOLVE_NO_MAGICLINKS && CL_RESOLVE_IN_ROOT == RESOLVE_IN_ROOT, "resolve bits");
_Static_assert(CL_RESOLVE_NO_CROSS_DEVICE == RESOLVE_NO_XDEV, "resolve bits");

_Static_assert(CL_EPOLL_IN == EPOLLIN && CL_EPOLL_PRI == EPOLLPRI && CL_EPOLL_OUT == EPOLLOUT, "epoll bits");
_Static_assert(CL_EPOLL_ERR == EPOLLERR && CL_EPOLL_HUP == EPOLLHUP && CL_EPOLL_RDHUP == EPOLLRDHUP, "epoll bits");

static int result(long r) { return r < 0 ? -errno : (int)r; }

// MARK: - Datagram groups

int cl_steer_datagrams(int fd, uint8_t first, unsigned others) {
    // Offset 0 is the first byte after the UDP header. A load past the end ends the program with 0.
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 2),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, others),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (others < 1 || others > 255) return -EINVAL;
    return result(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program));
}

// MARK: - Multicast

int cl_join_group(int fd, const struct sockaddr *group, socklen_t length, unsigned interface) {
    struct group_req request = {.gr_interface = interface};
    if (length > sizeof request.gr_group) return -EINVAL;
    memcpy(&request.gr_group, group, length);
    int level = group->sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    return result(setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request));
}

int cl_multicast_source(int fd, uint32_t address, unsigned interface) {
    struct ip_mreqn request = {.imr_address.s_addr = address, .imr_ifindex = (int)interface};
    return result(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
}

// MARK: - Descriptors

int cl_memfd(const char *name, uint64_t size) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int e = errno;
        close(fd);
        return -e;
    }
    return fd;
}

int cl_pidfd_open(pid_t pid) { return result(syscall(SYS_pidfd_open, pid, 0)); }
int cl_pidfd_send_signal(int pidfd, int signal) { return result(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0)); }

int cl_pidfd_reap(int pidfd, _Bool *exited, int *code) {
    siginfo_t info = {0};
    int r;
    do r = waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED | WNOHANG);
    while (r < 0 && errno == EINTR);
    if (r < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *exited = info.si_code == CLD_EXITED;
    *code = info.si_status;
    return 1;
}

static void fill(sigset_t *set, const int *signals, unsigned count) {
    sigemptyset(set);
    for (unsigned i = 0; i < count; i++) sigaddset(set, signals[i]);
}

int cl_signalfd(const int *signals, unsigned count) {
    sigset_t set;
    fill(&set, signals, count);
    int e = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (e) return -e;
    return result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int cl_signalfd_read(int fd, int *signal, pid_t *pid) {
    struct signalfd_siginfo info;
    ssize_t n;
    do n = read(fd, &info, sizeof info);
    while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN ? 0 : -errno;
    *signal = (int)info.ssi_signo;
    *pid = (pid_t)info.ssi_pid;
    return 1;
}

int cl_unblock_signals(const int *signals, unsigned count) {
    sigset_t set;
    fill(&set, signals, count);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int cl_ignore_signal(int signal_number) { return signal(signal_number, SIG_IGN) == SIG_ERR ? -errno : 0; }
size_t cl_error_text(int code, char *out, size_t n) {
    char buffer[128];
    const char *text = strerror_r(code, buffer, sizeof buffer);  // the GNU form: the text need not lie in the buffer
    size_t length = strlen(text);
    if (length > n) length = n;
    memcpy(out, text, length);
    return length;
}

ssize_t cl_random(void *out, size_t n) {
    ssize_t r;
    do r = getrandom(out, n, 0);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

int cl_eventfd(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int cl_set_nonblocking(int fd, _Bool on) {
    int f = fcntl(fd, F_GETFL);
    if (f < 0) return -errno;
    return result(fcntl(fd, F_SETFL, on ? f | O_NONBLOCK : f & ~O_NONBLOCK));
}

int cl_set_close_on_exec(int fd, _Bool on) { return result(fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0)); }

// MARK: - Passing descriptors

void cl_pass_prepare(struct msghdr *m, void *control, const int *fds, unsigned count) {
    if (count == 0 || count > CL_PASS_LIMIT) {
        m->msg_control = NULL;
        m->msg_controllen = 0;
        return;
    }
    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE(count * sizeof(int));
    memset(control, 0, m->msg_controllen);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
}

unsigned cl_pass_take(struct msghdr *m, int *fds, unsigned capacity) {
    unsigned n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (n < capacity)
                fds[n++] = fd;
            else
                close(fd);
        }
    }
    m->msg_controllen = 0;
    return n;
}

// MARK: - Processes

int cl_spawn(const char *program, char *const *argv, char *const *environment, const struct cl_mapping *map, unsigned count,
    _Bool own_group, pid_t *pid, int *pidfd) {
    if (count > CL_PASS_LIMIT) return -EINVAL;
    int highest = 2;
    for (unsigned i = 0; i < count; i++) {
        if (map[i].target < 0 || map[i].target >= CL_TARGET_LIMIT) return -EINVAL;
        if (map[i].target > highest) highest = map[i].target;
    }
    // A source may carry the number of another's target, so all sources first move above every target.
    int moved[CL_PASS_LIMIT];
    unsigned done = 0;
    int e = 0;
    for (; done < count; done++) {
        moved[done] = fcntl(map[done].source, F_DUPFD_CLOEXEC, CL_TARGET_LIMIT);
        if (moved[done] < 0) {
            e = errno;
            break;
        }
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (unsigned i = 0; i < done && !e; i++) e = posix_spawn_file_actions_adddup2(&actions, moved[i], map[i].target);
    for (int fd = 3; fd <= highest && !e; fd++) {
        _Bool mapped = 0;
        for (unsigned i = 0; i < count; i++) mapped |= map[i].target == fd;
        if (!mapped) e = posix_spawn_file_actions_addclose(&actions, fd);
    }
    if (!e) e = posix_spawn_file_actions_addclosefrom_np(&actions, highest + 1);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (own_group ? POSIX_SPAWN_SETPGROUP : 0));
    if (!e) e = posix_spawn(pid, program, &actions, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    for (unsigned i = 0; i < done; i++) close(moved[i]);
    if (e) return -e;
    *pidfd = cl_pidfd_open(*pid);  // the child stays a zombie until reaped, so its number cannot have been reused
    if (*pidfd < 0) {
        e = -*pidfd;
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
        return -e;
    }
    return 0;
}

int cl_set_thread_name(const char *name) { return result(prctl(PR_SET_NAME, name, 0, 0, 0)); }
int cl_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) { return result(prctl(option, a, b, c, d)); }
int cl_set_dumpable(_Bool on) { return result(prctl(PR_SET_DUMPABLE, on, 0, 0, 0)); }
int cl_set_no_new_privileges(void) { return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

// MARK: - Files

const int cl_O_DIRECT = O_DIRECT, cl_O_PATH = O_PATH, cl_O_TMPFILE = O_TMPFILE, cl_O_NOATIME = O_NOATIME;
const int cl_FALLOC_KEEP_SIZE = FALLOC_FL_KEEP_SIZE;
const int cl_FALLOC_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE;
const int cl_FALLOC_ZERO_RANGE = FALLOC_FL_ZERO_RANGE;

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U  // Linux 6.1
#endif
// glibc 2.36 may lack the two alignment fields; they sit right after stx_mnt_id in the kernel's layout.
#define DIO_OFFSET (offsetof(struct statx, stx_dev_minor) + 4 + 8)

int cl_status(int directory, const char *path, struct cl_file_status *out) {
    struct statx s;
    memset(&s, 0, sizeof s);
    int flags = AT_SYMLINK_NOFOLLOW | (*path ? 0 : AT_EMPTY_PATH);
    if (statx(directory, path, flags, STATX_BASIC_STATS | STATX_DIOALIGN, &s) < 0) return -errno;
    uint32_t align[2] = {0, 0};
    if (s.stx_mask & STATX_DIOALIGN) memcpy(align, (char *)&s + DIO_OFFSET, sizeof align);
    *out = (struct cl_file_status){
        .size = s.stx_size,
        .allocated = s.stx_blocks * 512,
        .inode = s.stx_ino,
        .device = (uint64_t)s.stx_dev_major << 32 | s.stx_dev_minor,
        .modified_seconds = s.stx_mtime.tv_sec,
        .modified_nanoseconds = s.stx_mtime.tv_nsec,
        .mode = s.stx_mode,
        .links = s.stx_nlink,
        .direct_memory_alignment = align[0],
        .direct_offset_alignment = align[1],
    };
    return 0;
}

int cl_openat2(int directory, const char *path, uint64_t flags, uint32_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    long r;
    // EAGAIN: a rename raced with the ".." check of RESOLVE_BENEATH; the manual asks for a retry.
    int tries = 0;
    do r = syscall(SYS_openat2, directory, path, &how, sizeof how);
    while (r < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < 32)));
    return result(r);
}

int64_t cl_seek_data(int fd, int64_t from) {
    off_t r = lseek(fd, from, SEEK_DATA);
    return r < 0 ? -errno : r;
}
int64_t cl_seek_hole(int fd, int64_t from) {
    off_t r = lseek(fd, from, SEEK_HOLE);
    return r < 0 ? -errno : r;
}
int cl_fallocate(int fd, int mode, uint64_t offset, uint64_t length) {
    int r;
    do r = fallocate(fd, mode, (off_t)offset, (off_t)length);
    while (r < 0 && errno == EINTR);
    return result(r);
}
int cl_rename(int from_directory, const char *from, int to_directory, const char *to, _Bool no_replace) {
    return result(renameat2(from_directory, from, to_directory, to, no_replace ? RENAME_NOREPLACE : 0));
}
int cl_file_system(int fd, uint64_t *free_bytes, uint64_t *total_bytes, uint64_t *type) {
    struct statfs s;
    if (fstatfs(fd, &s) < 0) return -errno;
    *free_bytes = (uint64_t)s.f_bavail * (uint64_t)s.f_bsize;
    *total_bytes = (uint64_t)s.f_blocks * (uint64_t)s.f_bsize;
    *type = (uint64_t)s.f_type;
    return 0;
}
int cl_preadv(int fd, const struct iovec *v, int count, uint64_t offset) {
    ssize_t r = preadv(fd, v, count, (off_t)offset);
    return r < 0 ? -errno : (int)r;
}
int cl_pwritev(int fd, const struct iovec *v, int count, uint64_t offset) {
    ssize_t r = pwritev(fd, v, count, (off_t)offset);
    return r < 0 ? -errno : (int)r;
}
int cl_accept(int listener) { return result(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)); }

// MARK: - Memory

void *cl_map_shared(int fd, uint64_t offset, size_t n, int *error) {
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    if (p == MAP_FAILED) {
        *error = -errno;
        return NULL;
    }
    madvise(p, n, MADV_DONTFORK);
    return p;
}

void *cl_map_private(size_t n, size_t alignment, int *error) {
    char *p = mmap(NULL, n + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        *error = -errno;
        return NULL;
    }
    size_t before = (alignment - ((uintptr_t)p & (alignment - 1))) & (alignment - 1);
    size_t kept = (n + 4095) & ~(size_t)4095;
    if (before) munmap(p, before);
    if (alignment - before + n > kept) munmap(p + before + kept, n + alignment - before - kept);
    madvise(p + before, kept, MADV_HUGEPAGE);
    return p + before;
}

int cl_unmap(void *p, size_t n) { return result(munmap(p, n)); }

// MARK: - epoll

int cl_epoll_open(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

int cl_epoll_arm(int epoll, int fd, uint32_t events, uint64_t key) {
    struct epoll_event e = {.events = events | EPOLLONESHOT, .data.u64 = key};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e) == 0) return 0;
    if (errno != ENOENT) return -errno;
    return result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
}

int cl_epoll_remove(int epoll, int fd) { return result(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL)); }

int cl_epoll_wait(int epoll, struct cl_event *out, unsigned capacity, int64_t nanoseconds) {
    struct epoll_event events[256];
    int room = capacity < 256 ? (int)capacity : 256, n;
    struct timespec t = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    n = (int)syscall(SYS_epoll_pwait2, epoll, events, room, nanoseconds < 0 ? NULL : &t, NULL, 8);
    if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
        // Before 5.11 (or filtered): milliseconds, rounded up so that a deadline is never reported early.
        int64_t ms = nanoseconds < 0 ? -1 : (nanoseconds + 999999) / 1000000;
        n = epoll_wait(epoll, events, room, ms > 1000000 ? 1000000 : (int)ms);
    }
    if (n < 0) return -errno;
    for (int i = 0; i < n; i++) out[i] = (struct cl_event){events[i].data.u64, events[i].events};
    return n;
}
