#include "CLinux.h"
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

// Arguments that the kernel reads during submission (IORING_FEAT_SUBMIT_STABLE, 5.5). Each submission slot has its own,
// so they live until the slot is used again, which is after its submission.
union slot_arguments {
    struct msghdr message;
    struct sockaddr_storage address;
};

struct cl_ring {
    struct io_uring ring;
    union slot_arguments *arguments;
};

static int open_with(struct cl_ring *r, unsigned entries, unsigned flags) {
    struct io_uring_params p = {.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE, .cq_entries = entries * 4};
    return io_uring_queue_init_params(entries, &r->ring, &p);
}

struct cl_ring *cl_ring_open(unsigned entries, int *error) {
    // Newest first; the kernel refuses unknown flags with EINVAL.
    static const unsigned attempts[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,  // 6.1
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,                                                            // 5.19
        0,
    };
    if (entries < 1 || entries > 32768) {
        *error = -EINVAL;
        return NULL;
    }
    struct cl_ring *r = calloc(1, sizeof *r);
    if (!r) {
        *error = -ENOMEM;
        return NULL;
    }
    int e = -EINVAL;
    for (unsigned i = 0; i < sizeof attempts / sizeof *attempts && e == -EINVAL; i++) e = open_with(r, entries, attempts[i]);
    if (e < 0) {
        free(r);
        *error = e;
        return NULL;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&r->ring);
    // IORING_OP_SOCKET came with 5.19, as multishot accept, cancel-all and sparse buffer tables did.
    _Bool able = probe && io_uring_opcode_supported(probe, IORING_OP_SOCKET) && (r->ring.features & IORING_FEAT_SUBMIT_STABLE) &&
        (r->ring.features & IORING_FEAT_EXT_ARG) && (r->ring.features & IORING_FEAT_NODROP);
    if (probe) io_uring_free_probe(probe);
    r->arguments = able ? calloc(r->ring.sq.ring_entries ? r->ring.sq.ring_entries : *r->ring.sq.kring_entries, sizeof *r->arguments) : NULL;
    if (!r->arguments) {
        *error = able ? -ENOMEM : -EOPNOTSUPP;
        io_uring_queue_exit(&r->ring);
        free(r);
        return NULL;
    }
    io_uring_ring_dontfork(&r->ring);
    io_uring_register_ring_fd(&r->ring);  // saves a reference count per enter; harmless when refused
    return r;
}

void cl_ring_close(struct cl_ring *r) {
    io_uring_queue_exit(&r->ring);
    free(r->arguments);
    free(r);
}

unsigned cl_ring_flags(const struct cl_ring *r) { return r->ring.flags; }
unsigned cl_ring_space(const struct cl_ring *r) { return io_uring_sq_space_left(&r->ring); }

int cl_ring_submit(struct cl_ring *r) { return io_uring_submit_and_get_events(&r->ring); }

int cl_ring_wait(struct cl_ring *r, int64_t nanoseconds) {
    int e;
    if (nanoseconds < 0) {
        e = io_uring_submit_and_wait(&r->ring, 1);
    } else {
        struct __kernel_timespec t = {nanoseconds / 1000000000, nanoseconds % 1000000000};
        struct io_uring_cqe *first;
        e = io_uring_submit_and_wait_timeout(&r->ring, &first, 1, &t, NULL);
    }
    return e < 0 ? e : 0;
}

unsigned cl_ring_reap(struct cl_ring *r, struct cl_completion *out, unsigned capacity) {
    unsigned head, seen = 0, n = 0;
    struct io_uring_cqe *c;
    io_uring_for_each_cqe(&r->ring, head, c) {
        if (n == capacity) break;
        seen++;
        if (c->user_data >= CL_TOKEN_INTERNAL && c->user_data != UINT64_MAX) continue;
        out[n++] = (struct cl_completion){c->user_data, c->res, (c->flags & IORING_CQE_F_MORE) != 0};
    }
    io_uring_cq_advance(&r->ring, seen);
    return n;
}

#define TAKE(r)                                                  \
    struct io_uring_sqe *s = io_uring_get_sqe(&(r)->ring);       \
    if (!s) return 0
#define QUEUE(token)           \
    s->user_data = (token);    \
    return 1

static union slot_arguments *arguments_of(struct cl_ring *r, struct io_uring_sqe *s) { return &r->arguments[s - r->ring.sq.sqes]; }

_Bool cl_ring_accept(struct cl_ring *r, int fd, uint64_t token) {
    TAKE(r);
    io_uring_prep_multishot_accept(s, fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    QUEUE(token);
}

_Bool cl_ring_connect(struct cl_ring *r, int fd, const struct sockaddr_storage *address, socklen_t length, uint64_t token) {
    TAKE(r);
    union slot_arguments *a = arguments_of(r, s);
    memcpy(&a->address, address, length <= sizeof a->address ? length : sizeof a->address);
    io_uring_prep_connect(s, fd, (struct sockaddr *)&a->address, length);
    QUEUE(token);
}

_Bool cl_ring_recv(struct cl_ring *r, int fd, void *p, size_t n, uint64_t token) {
    TAKE(r);
    io_uring_prep_recv(s, fd, p, n, 0);
    QUEUE(token);
}

// READV, not RECVMSG: the latter writes the message header back at completion, which would have to outlive the slot.
_Bool cl_ring_recv_vector(struct cl_ring *r, int fd, struct iovec *v, unsigned count, uint64_t token) {
    TAKE(r);
    io_uring_prep_readv(s, fd, v, count, 0);
    QUEUE(token);
}

_Bool cl_ring_send(struct cl_ring *r, int fd, const void *p, size_t n, uint64_t token) {
    TAKE(r);
    io_uring_prep_send(s, fd, p, n, MSG_NOSIGNAL);
    QUEUE(token);
}

_Bool cl_ring_send_vector(struct cl_ring *r, int fd, struct iovec *v, unsigned count, uint64_t token) {
    TAKE(r);
    union slot_arguments *a = arguments_of(r, s);
    a->message = (struct msghdr){.msg_iov = v, .msg_iovlen = count};
    io_uring_prep_sendmsg(s, fd, &a->message, MSG_NOSIGNAL);
    QUEUE(token);
}

_Bool cl_ring_recvmsg(struct cl_ring *r, int fd, struct msghdr *m, uint64_t token) {
    TAKE(r);
    io_uring_prep_recvmsg(s, fd, m, MSG_CMSG_CLOEXEC);
    QUEUE(token);
}

_Bool cl_ring_sendmsg(struct cl_ring *r, int fd, const struct msghdr *m, uint64_t token) {
    TAKE(r);
    io_uring_prep_sendmsg(s, fd, m, MSG_NOSIGNAL);
    QUEUE(token);
}

_Bool cl_ring_poll(struct cl_ring *r, int fd, uint32_t events, _Bool multishot, uint64_t token) {
    TAKE(r);
    if (multishot)
        io_uring_prep_poll_multishot(s, fd, events);
    else
        io_uring_prep_poll_add(s, fd, events);
    QUEUE(token);
}

_Bool cl_ring_read(struct cl_ring *r, int fd, void *p, unsigned n, uint64_t offset, int buffer, uint64_t token) {
    TAKE(r);
    if (buffer >= 0)
        io_uring_prep_read_fixed(s, fd, p, n, offset, buffer);
    else
        io_uring_prep_read(s, fd, p, n, offset);
    QUEUE(token);
}

_Bool cl_ring_write(struct cl_ring *r, int fd, const void *p, unsigned n, uint64_t offset, int buffer, uint64_t token) {
    TAKE(r);
    if (buffer >= 0)
        io_uring_prep_write_fixed(s, fd, p, n, offset, buffer);
    else
        io_uring_prep_write(s, fd, p, n, offset);
    QUEUE(token);
}

_Bool cl_ring_read_vector(struct cl_ring *r, int fd, const struct iovec *v, unsigned count, uint64_t offset, uint64_t token) {
    TAKE(r);
    io_uring_prep_readv(s, fd, v, count, offset);
    QUEUE(token);
}

_Bool cl_ring_write_vector(struct cl_ring *r, int fd, const struct iovec *v, unsigned count, uint64_t offset, uint64_t token) {
    TAKE(r);
    io_uring_prep_writev(s, fd, v, count, offset);
    QUEUE(token);
}

_Bool cl_ring_fsync(struct cl_ring *r, int fd, _Bool data_only, uint64_t token) {
    TAKE(r);
    io_uring_prep_fsync(s, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
    QUEUE(token);
}

_Bool cl_ring_fallocate(struct cl_ring *r, int fd, int mode, uint64_t offset, uint64_t length, uint64_t token) {
    TAKE(r);
    // liburing 2.3 declares offset and length as off_t-sized; the slot fields are 64 bits wide.
    io_uring_prep_rw(IORING_OP_FALLOCATE, s, fd, 0, (unsigned)mode, offset);
    s->addr = length;
    QUEUE(token);
}

_Bool cl_ring_cancel(struct cl_ring *r, uint64_t token) {
    TAKE(r);
    io_uring_prep_cancel64(s, token, IORING_ASYNC_CANCEL_ALL);
    QUEUE(CL_TOKEN_INTERNAL);
}

int cl_ring_register_buffers(struct cl_ring *r, unsigned slots) {
    if (slots < 1 || slots > 16384) return -EINVAL;
    return io_uring_register_buffers_sparse(&r->ring, slots);
}

int cl_ring_set_buffer(struct cl_ring *r, unsigned index, void *p, size_t n) {
    struct iovec v = {p, p ? n : 0};
    uint64_t tag = 0;
    int e = io_uring_register_buffers_update_tag(&r->ring, index, &v, (const __u64 *)&tag, 1);
    return e < 0 ? e : 0;
}
