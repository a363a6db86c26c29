#include "CLinux.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif

static int result(long r) { return r < 0 ? -errno : (int)r; }

static void write_address(struct sockaddr_in6 *out, socklen_t *length, _Bool ipv6, const struct cl_address *a) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memset(out, 0, sizeof *out);
    if (ipv6) {
        out->sin6_family = AF_INET6;
        out->sin6_port = htons(a->port);
        memcpy(&out->sin6_addr, a->bytes, 16);
        *length = sizeof(struct sockaddr_in6);
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)out;
        four->sin_family = AF_INET;
        four->sin_port = htons(a->port);
        // An address of the other family cannot be reached from this socket: the kernel says so for 0.0.0.0's network.
        if (memcmp(a->bytes, mapped, 12) == 0) memcpy(&four->sin_addr, a->bytes + 12, 4);
        *length = sizeof(struct sockaddr_in);
    }
}

static void read_address(struct cl_address *out, const struct sockaddr_in6 *a) {
    if (a->sin6_family == AF_INET6) {
        memcpy(out->bytes, &a->sin6_addr, 16);
        out->port = ntohs(a->sin6_port);
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)a;
        memset(out->bytes, 0, 10);
        memset(out->bytes + 10, 0xff, 2);
        memcpy(out->bytes + 12, &four->sin_addr, 4);
        out->port = ntohs(four->sin_port);
    }
}

int cl_datagram_socket_prepare(int fd, _Bool ipv6, int buffer) {
    int on = 1, off = IP_PMTUDISC_DONT;
    // More than net.core.*mem_max needs CAP_NET_ADMIN; otherwise as much as is allowed.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) < 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &off, sizeof off);
    if (ipv6) {
        off = IPV6_PMTUDISC_DONT;
        setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &off, sizeof off);
    }
    return setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) == 0;
}

void cl_datagram_dont_fragment(int fd, _Bool ipv6, _Bool on) {
    int value = on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof value);
    if (ipv6) {
        value = on ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT;
        setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, sizeof value);
    }
}

// MARK: - In

struct cl_arrivals {
    unsigned count, size;
    uint8_t *memory;
    struct mmsghdr *messages;
    struct iovec *vectors;
    struct sockaddr_in6 *addresses;
    uint8_t *control;
};
enum { control_size = CMSG_SPACE(sizeof(int)) };

struct cl_arrivals *cl_arrivals_open(unsigned count, unsigned size) {
    struct cl_arrivals *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->count = count;
    a->size = size;
    a->memory = aligned_alloc(4096, (size_t)count * size);
    a->messages = calloc(count, sizeof *a->messages);
    a->vectors = calloc(count, sizeof *a->vectors);
    a->addresses = calloc(count, sizeof *a->addresses);
    a->control = calloc(count, control_size);
    if (!a->memory || !a->messages || !a->vectors || !a->addresses || !a->control) {
        cl_arrivals_close(a);
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        a->vectors[i] = (struct iovec){a->memory + (size_t)i * size, size};
        a->messages[i].msg_hdr.msg_iov = &a->vectors[i];
        a->messages[i].msg_hdr.msg_iovlen = 1;
        a->messages[i].msg_hdr.msg_name = &a->addresses[i];
    }
    return a;
}

void cl_arrivals_close(struct cl_arrivals *a) {
    free(a->memory);
    free(a->messages);
    free(a->vectors);
    free(a->addresses);
    free(a->control);
    free(a);
}

int cl_arrivals_receive(struct cl_arrivals *a, int fd) {
    for (unsigned i = 0; i < a->count; i++) {
        struct msghdr *h = &a->messages[i].msg_hdr;
        h->msg_namelen = sizeof a->addresses[i];
        h->msg_control = a->control + (size_t)i * control_size;
        h->msg_controllen = control_size;
        h->msg_flags = 0;
    }
    return result(recvmmsg(fd, a->messages, a->count, MSG_DONTWAIT, NULL));
}

void cl_arrivals_at(struct cl_arrivals *a, unsigned i, struct cl_arrival *out) {
    struct msghdr *h = &a->messages[i].msg_hdr;
    out->bytes = a->vectors[i].iov_base;
    out->length = a->messages[i].msg_len;
    out->segment = out->length;
    read_address(&out->from, &a->addresses[i]);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        int segment;
        if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
        memcpy(&segment, CMSG_DATA(c), sizeof segment);
        if (segment > 0) out->segment = (uint32_t)segment;
    }
}

// MARK: - Out

enum { message_limit = 32, vector_limit = 1024, segment_space = CMSG_SPACE(sizeof(uint16_t)) };
struct cl_departures {
    unsigned messages, vectors;
    struct mmsghdr headers[message_limit];
    struct sockaddr_in6 addresses[message_limit];
    struct iovec vector[vector_limit];
    uint8_t control[message_limit][segment_space] __attribute__((aligned(8)));
};

struct cl_departures *cl_departures_open(void) { return calloc(1, sizeof(struct cl_departures)); }
void cl_departures_close(struct cl_departures *d) { free(d); }
void cl_departures_clear(struct cl_departures *d) { d->messages = d->vectors = 0; }
unsigned cl_departures_count(const struct cl_departures *d) { return d->messages; }
unsigned cl_departures_room(const struct cl_departures *d) { return d->messages == message_limit ? 0 : vector_limit - d->vectors; }

void cl_departures_begin(struct cl_departures *d, _Bool ipv6, const struct cl_address *to) {
    struct msghdr *h = &d->headers[d->messages].msg_hdr;
    memset(h, 0, sizeof *h);
    write_address(&d->addresses[d->messages], &h->msg_namelen, ipv6, to);
    h->msg_name = &d->addresses[d->messages];
    h->msg_iov = &d->vector[d->vectors];
    d->messages++;
}

void cl_departures_add(struct cl_departures *d, const void *p, size_t n) {
    if (d->vectors == vector_limit || d->messages == 0) abort();
    d->vector[d->vectors++] = (struct iovec){(void *)p, n};
    d->headers[d->messages - 1].msg_hdr.msg_iovlen++;
}

void cl_departures_segment(struct cl_departures *d, uint16_t size) {
    struct msghdr *h = &d->headers[d->messages - 1].msg_hdr;
    h->msg_control = d->control[d->messages - 1];
    h->msg_controllen = segment_space;
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(c), &size, sizeof size);
}

int cl_departures_send(struct cl_departures *d, int fd, unsigned from) {
    if (from >= d->messages) return 0;
    return result(sendmmsg(fd, d->headers + from, d->messages - from, MSG_DONTWAIT | MSG_NOSIGNAL));
}
