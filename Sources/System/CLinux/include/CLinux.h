/// What Linux offers and Swift's Glibc import cannot see or call: io_uring (through liburing), memfd, pidfd,
/// signalfd, openat2, statx, SCM_RIGHTS, spawning with mapped descriptors.
///
/// Thin shims only: no policy, no global state. Unless a comment says otherwise a function returns a value >= 0, or
/// -errno. Nothing here allocates after `cl_ring_open`.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

// MARK: - Datagram groups

/// Steers the datagrams of a group of sockets bound to one address with SO_REUSEPORT, in the order of their binding: those whose
/// first byte is `first` to socket 0, the others to 1 + (third byte % others). A datagram too short for its look-up goes to
/// socket 0. `fd`: any socket of the group. Needs others in 1 ... 255.
int cl_steer_datagrams(int fd, uint8_t first, unsigned others);

// MARK: - Datagrams in batches

/// Sixteen bytes in network order, IPv4 in mapped form, and a port in host order.
struct cl_address {
    uint8_t bytes[16];
    uint16_t port;
};

/// Buffers of `buffer` bytes both ways (as far as allowed), fragmentation allowed (no DF), and UDP_GRO: 1 when the kernel has it.
int cl_datagram_socket_prepare(int fd, _Bool ipv6, int buffer);
/// Whether what is sent from now on carries DF, whatever the kernel thinks of the path.
void cl_datagram_dont_fragment(int fd, _Bool ipv6, _Bool on);

// MARK: - Single datagrams with our own address

/// From now on ``cl_datagram_receive`` says at which of our addresses a datagram came.
void cl_datagram_tell_local(int fd, _Bool ipv6);
/// One that does not wait: its length, or -errno. `local`: zeroes where the kernel does not say it.
int cl_datagram_receive(int fd, void *p, size_t n, struct cl_address *from, struct cl_address *local);
/// 0, or -errno. `ipv6`: the socket's family. `local`: NULL for the kernel's choice; its port is not looked at.
int cl_datagram_send(int fd, _Bool ipv6, const void *p, size_t n, const struct cl_address *to, const struct cl_address *local);

/// `count` receive buffers of `size` bytes each (a multiple of 4096). NULL: no memory.
struct cl_arrivals;
struct cl_arrivals *cl_arrivals_open(unsigned count, unsigned size);
void cl_arrivals_close(struct cl_arrivals *);
/// One recvmmsg that does not wait: how many messages came, or -errno.
int cl_arrivals_receive(struct cl_arrivals *, int fd);
struct cl_arrival {
    uint8_t *bytes;
    uint32_t length;
    /// The kernel may have joined datagrams of one sender: each is so long, the last may be shorter.
    uint32_t segment;
    struct cl_address from;
};
void cl_arrivals_at(struct cl_arrivals *, unsigned i, struct cl_arrival *out);

/// Up to 32 messages of 1,024 stretches of memory in all, sent by one sendmmsg. The memory must live until then.
struct cl_departures;
struct cl_departures *cl_departures_open(void);
void cl_departures_close(struct cl_departures *);
void cl_departures_clear(struct cl_departures *);
unsigned cl_departures_count(const struct cl_departures *);
/// Stretches that still fit; 0 when no further message does.
unsigned cl_departures_room(const struct cl_departures *);
void cl_departures_begin(struct cl_departures *, _Bool ipv6, const struct cl_address *to);
void cl_departures_add(struct cl_departures *, const void *p, size_t n);
/// The last message is cut into datagrams of `size` bytes by the kernel (UDP_SEGMENT).
void cl_departures_segment(struct cl_departures *, uint16_t size);
/// Sends the messages from `from` on without waiting: how many were taken, or -errno when the first was not.
int cl_departures_send(struct cl_departures *, int fd, unsigned from);

// MARK: - Multicast

/// Joins a group of either family on one interface. -EADDRINUSE when it is joined already.
int cl_join_group(int fd, const struct sockaddr *group, socklen_t length, unsigned interface);
/// IPv4 datagrams to groups leave by `interface` with the source `address` (network order).
int cl_multicast_source(int fd, uint32_t address, unsigned interface);

// MARK: - io_uring

/// One completion, copied out of the completion queue.
struct cl_completion {
    uint64_t token;
    int32_t result;  // >= 0 or -errno
    uint32_t more;   // 1: a multishot operation goes on under the same token
};

/// A ring used by the one thread that opened it.
struct cl_ring;

/// Tokens from this one up belong to the ring (completions of cancel requests) and are never reported.
#define CL_TOKEN_INTERNAL 0xFFFFFFFFFFFFFF00ULL

/// Opens a ring of `entries` (1 ... 32768, rounded up to a power of two) submission slots and four times as many
/// completion slots. Tries SINGLE_ISSUER|DEFER_TASKRUN|COOP_TASKRUN (kernel 6.1) first, then fewer flags.
/// NULL on failure, with -errno in *error: -EPERM or -ENOSYS where a seccomp profile or sysctl refuses io_uring,
/// -EOPNOTSUPP where the kernel is older than 5.19 (no multishot accept).
struct cl_ring *cl_ring_open(unsigned entries, int *error);
void cl_ring_close(struct cl_ring *ring);
/// The IORING_SETUP_* flags in force.
unsigned cl_ring_flags(const struct cl_ring *ring);
/// Submission slots left before the next call would have to submit.
unsigned cl_ring_space(const struct cl_ring *ring);

/// Submits what is queued without waiting, and lets completions that are ready come in. One io_uring_enter.
int cl_ring_submit(struct cl_ring *ring);
/// Submits what is queued and waits for a completion or `nanoseconds` (< 0: for ever). One io_uring_enter.
/// 0 when something may have completed, -ETIME at the deadline, -EINTR on a signal.
int cl_ring_wait(struct cl_ring *ring, int64_t nanoseconds);
/// Copies up to `capacity` completions out; internal ones are dropped. Returns how many.
unsigned cl_ring_reap(struct cl_ring *ring, struct cl_completion *out, unsigned capacity);

// Each of these queues one operation; false when the submission queue is full (submit, then try again). Memory
// behind pointers must stay valid until the completion, except `address` and the iovec arrays, which the kernel
// has read when the submission returns.
_Bool cl_ring_accept(struct cl_ring *, int fd, uint64_t token);  // multishot; CLOEXEC and non-blocking
_Bool cl_ring_connect(struct cl_ring *, int fd, const struct sockaddr_storage *address, socklen_t length, uint64_t token);
_Bool cl_ring_recv(struct cl_ring *, int fd, void *p, size_t n, uint64_t token);
_Bool cl_ring_recv_vector(struct cl_ring *, int fd, struct iovec *v, unsigned count, uint64_t token);
_Bool cl_ring_send(struct cl_ring *, int fd, const void *p, size_t n, uint64_t token);  // MSG_NOSIGNAL
_Bool cl_ring_send_vector(struct cl_ring *, int fd, struct iovec *v, unsigned count, uint64_t token);
_Bool cl_ring_recvmsg(struct cl_ring *, int fd, struct msghdr *m, uint64_t token);  // MSG_CMSG_CLOEXEC
_Bool cl_ring_sendmsg(struct cl_ring *, int fd, const struct msghdr *m, uint64_t token);
_Bool cl_ring_poll(struct cl_ring *, int fd, uint32_t events, _Bool multishot, uint64_t token);
_Bool cl_ring_read(struct cl_ring *, int fd, void *p, unsigned n, uint64_t offset, int buffer, uint64_t token);
_Bool cl_ring_write(struct cl_ring *, int fd, const void *p, unsigned n, uint64_t offset, int buffer, uint64_t token);
_Bool cl_ring_read_vector(struct cl_ring *, int fd, const struct iovec *v, unsigned count, uint64_t offset, uint64_t token);
_Bool cl_ring_write_vector(struct cl_ring *, int fd, const struct iovec *v, unsigned count, uint64_t offset, uint64_t token);
_Bool cl_ring_fsync(struct cl_ring *, int fd, _Bool data_only, uint64_t token);
_Bool cl_ring_fallocate(struct cl_ring *, int fd, int mode, uint64_t offset, uint64_t length, uint64_t token);
_Bool cl_ring_cancel(struct cl_ring *, uint64_t token);  // every operation with this token

/// A table of `slots` (1 ... 16384) empty registered buffers. -ENOMEM or -EPERM: RLIMIT_MEMLOCK.
int cl_ring_register_buffers(struct cl_ring *ring, unsigned slots);
/// Fills slot `index`; p NULL empties it.
int cl_ring_set_buffer(struct cl_ring *ring, unsigned index, void *p, size_t n);

// MARK: - Descriptors

/// An anonymous memory file of `size` bytes, sealed against growing and shrinking (and against more seals), so that
/// no process that maps it can be hit by SIGBUS. CLOEXEC.
int cl_memfd(const char *name, uint64_t size);
int cl_pidfd_open(pid_t pid);
int cl_pidfd_send_signal(int pidfd, int signal);
/// Reaps the child behind a pidfd without blocking. 1: reaped, *exited tells whether *code is an exit code or a
/// signal number; 0: still running.
int cl_pidfd_reap(int pidfd, _Bool *exited, int *code);
/// Blocks `signals` in the calling thread (threads made later inherit that) and returns a non-blocking signalfd of them.
int cl_signalfd(const int *signals, unsigned count);
/// Reads one signal. 1: *signal and *pid (its sender, or the child) are set; 0: none waits.
int cl_signalfd_read(int fd, int *signal, pid_t *pid);
/// Undoes cl_signalfd for the calling thread.
int cl_unblock_signals(const int *signals, unsigned count);
int cl_ignore_signal(int signal);
/// Writes strerror's text for `code`, at most n bytes, without a terminator counted; returns its length.
size_t cl_error_text(int code, char *out, size_t n);
/// getrandom: up to n bytes, at least one; waits only before the kernel's pool is first seeded.
ssize_t cl_random(void *out, size_t n);
int cl_eventfd(void);  // CLOEXEC, non-blocking
int cl_set_nonblocking(int fd, _Bool on);
int cl_set_close_on_exec(int fd, _Bool on);

// MARK: - Passing descriptors (SCM_RIGHTS)

#define CL_PASS_LIMIT 16  // descriptors in one packet
#define CL_PASS_CONTROL 96  // bytes of control buffer that hold them: CMSG_SPACE(16 * 4) = 80, with room for one more

/// Writes a SCM_RIGHTS message for `count` (0 ... CL_PASS_LIMIT) descriptors into m->msg_control; 0 removes it.
void cl_pass_prepare(struct msghdr *m, void *control, const int *fds, unsigned count);
/// Takes the descriptors out of a received message; at most `capacity` are returned, any further one is closed.
unsigned cl_pass_take(struct msghdr *m, int *fds, unsigned capacity);

// MARK: - Processes

/// Descriptor numbers that a child can be given: small, so that it works under a descriptor limit of 256 as well.
#define CL_TARGET_LIMIT 64
/// One descriptor of the child: `source` here becomes `target` there.
struct cl_mapping {
    int source;
    int target;
};
/// Starts `program` (a path; argv and environment NULL-terminated). 0, 1 and 2 are inherited unless mapped; of all other
/// descriptors the child has exactly the mapped ones (at most CL_PASS_LIMIT, targets below CL_TARGET_LIMIT). Signal mask empty,
/// dispositions default, own process group when asked. Returns 0 and sets *pid and *pidfd (CLOEXEC). -errno covers a failed exec too.
int cl_spawn(const char *program, char *const *argv, char *const *environment, const struct cl_mapping *map,
    unsigned count, _Bool own_group, pid_t *pid, int *pidfd);
/// prctl(PR_SET_NAME): at most 15 bytes are kept.
int cl_set_thread_name(const char *name);
int cl_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int cl_set_dumpable(_Bool on);
int cl_set_no_new_privileges(void);

// MARK: - Confinement

/// What Landlock of the running kernel can do (1 ...); 0: it is missing or switched off.
int cl_landlock_version(void);
struct cl_path_right {
    const char *path;  // a file or folder with all below it; one that does not exist is passed over
    _Bool writes;      // regular files may also be made, changed, renamed within a folder and removed
};
/// From now on this thread and those that it starts reach no file but these (read and listed), cannot make TCP connections or
/// listeners unless `tcp`, and signal no process that is not theirs. With no path, files stay as they are. Kernels that know
/// less enforce less. Returns the version of Landlock in use, 0 without it, or -errno. Needs no_new_privs.
int cl_confine_files(const struct cl_path_right *paths, unsigned count, _Bool tcp);
enum { CL_CALLS_SYSTEM = 1, CL_CALLS_PROGRAMS = 2, CL_CALLS_SOCKETS = 4, CL_CALLS_RINGS = 8 };
/// From now on the named groups of system calls end with EPERM, for this thread and those that it starts, or for all threads of
/// the process. 0 or -errno (EINVAL: the kernel has no seccomp; EOPNOTSUPP: unknown architecture). Needs no_new_privs.
int cl_refuse_calls(unsigned groups, _Bool all_threads);

// MARK: - Files

struct cl_file_status {
    uint64_t size, allocated;  // bytes; allocated = blocks * 512
    uint64_t inode, device;
    int64_t modified_seconds;
    uint32_t modified_nanoseconds;
    uint32_t mode, links;
    uint32_t direct_memory_alignment;  // 0: O_DIRECT refused or unknown (kernel before 6.1)
    uint32_t direct_offset_alignment;
};
/// statx of `path` under `directory`, or of the descriptor itself when path is "". Symbolic links are not followed.
int cl_status(int directory, const char *path, struct cl_file_status *out);
/// openat2; O_CLOEXEC is added. `resolve` is a set of the CL_RESOLVE_* bits.
int cl_openat2(int directory, const char *path, uint64_t flags, uint32_t mode, uint64_t resolve);
#define CL_RESOLVE_NO_CROSS_DEVICE 0x01
#define CL_RESOLVE_NO_MAGIC_LINKS 0x02
#define CL_RESOLVE_NO_SYMBOLIC_LINKS 0x04
#define CL_RESOLVE_BENEATH 0x08
#define CL_RESOLVE_IN_ROOT 0x10
extern const int cl_O_DIRECT, cl_O_PATH, cl_O_TMPFILE, cl_O_NOATIME;
extern const int cl_FALLOC_KEEP_SIZE, cl_FALLOC_PUNCH_HOLE, cl_FALLOC_ZERO_RANGE;
/// Next offset at or after `from` that holds data (or a hole); -ENXIO past the end.
int64_t cl_seek_data(int fd, int64_t from);
int64_t cl_seek_hole(int fd, int64_t from);
int cl_fallocate(int fd, int mode, uint64_t offset, uint64_t length);
/// renameat2; with no_replace an existing target gives -EEXIST.
int cl_rename(int from_directory, const char *from, int to_directory, const char *to, _Bool no_replace);
/// Free and total bytes, as an unprivileged user sees them, and the f_type magic of the file system.
int cl_file_system(int fd, uint64_t *free_bytes, uint64_t *total_bytes, uint64_t *type);
/// positional vectored I/O that takes any offset type.
int cl_preadv(int fd, const struct iovec *v, int count, uint64_t offset);
int cl_pwritev(int fd, const struct iovec *v, int count, uint64_t offset);
/// accept4 with SOCK_CLOEXEC|SOCK_NONBLOCK.
int cl_accept(int listener);

// MARK: - Memory

/// Shared mapping of [offset, offset + n) of fd, read and write; NULL on failure with -errno in *error.
void *cl_map_shared(int fd, uint64_t offset, size_t n, int *error);
/// Private anonymous memory aligned to `alignment` (a power of two, >= 4096), asked to be in huge pages.
void *cl_map_private(size_t n, size_t alignment, int *error);
int cl_unmap(void *p, size_t n);

// MARK: - epoll

/// One readiness event; `key` is what was registered.
struct cl_event {
    uint64_t key;
    uint32_t events;
};
#define CL_EPOLL_IN 0x001u
#define CL_EPOLL_PRI 0x002u
#define CL_EPOLL_OUT 0x004u
#define CL_EPOLL_ERR 0x008u
#define CL_EPOLL_HUP 0x010u
#define CL_EPOLL_RDHUP 0x2000u
int cl_epoll_open(void);
/// Arms `fd` once for `events`: adds it or re-arms it, whichever applies.
int cl_epoll_arm(int epoll, int fd, uint32_t events, uint64_t key);
int cl_epoll_remove(int epoll, int fd);
/// Waits up to `nanoseconds` (< 0: for ever); at most 256 events.
int cl_epoll_wait(int epoll, struct cl_event *out, unsigned capacity, int64_t nanoseconds);
