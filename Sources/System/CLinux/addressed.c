#include "CLinux.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void from_ipv4(struct cl_address *out, const struct in_addr *a) {
    memcpy(out->bytes, mapped, 12);
    memcpy(out->bytes + 12, a, 4);
}

void cl_datagram_tell_local(int fd, _Bool ipv6) {
    int on = 1;
    if (ipv6) setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    else setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
}

int cl_datagram_receive(int fd, void *p, size_t n, struct cl_address *from, struct cl_address *local) {
    struct sockaddr_in6 address;
    struct iovec vector = {p, n};
    _Alignas(8) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct msghdr m = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    memset(local, 0, sizeof *local);
    memset(from, 0, sizeof *from);
    ssize_t got = recvmsg(fd, &m, MSG_DONTWAIT);
    if (got < 0) return -errno;
    if (address.sin6_family == AF_INET6) {
        memcpy(from->bytes, &address.sin6_addr, 16);
        from->port = ntohs(address.sin6_port);
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&address;
        from_ipv4(from, &four->sin_addr);
        from->port = ntohs(four->sin_port);
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(local->bytes, &info.ipi6_addr, 16);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            from_ipv4(local, &info.ipi_spec_dst);
        }
    }
    return (int)got;
}

int cl_datagram_send(int fd, _Bool ipv6, const void *p, size_t n, const struct cl_address *to, const struct cl_address *local) {
    struct sockaddr_in6 address;
    struct iovec vector = {(void *)p, n};
    _Alignas(8) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    struct msghdr m = {.msg_name = &address, .msg_iov = &vector, .msg_iovlen = 1};
    memset(&address, 0, sizeof address);
    if (ipv6) {
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(to->port);
        memcpy(&address.sin6_addr, to->bytes, 16);
        m.msg_namelen = sizeof address;
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)&address;
        if (memcmp(to->bytes, mapped, 12) != 0) return -EAFNOSUPPORT;
        four->sin_family = AF_INET;
        four->sin_port = htons(to->port);
        memcpy(&four->sin_addr, to->bytes + 12, 4);
        m.msg_namelen = sizeof *four;
    }
    if (local) {
        memset(control, 0, sizeof control);
        m.msg_control = control;
        m.msg_controllen = ipv6 ? CMSG_SPACE(sizeof(struct in6_pktinfo)) : CMSG_SPACE(sizeof(struct in_pktinfo));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (ipv6) {
            // A mapped address here is that of an IPv4 datagram on a socket for both.
            struct in6_pktinfo info = {0};
            memcpy(&info.ipi6_addr, local->bytes, 16);
            c->cmsg_level = IPPROTO_IPV6;
            c->cmsg_type = IPV6_PKTINFO;
            c->cmsg_len = CMSG_LEN(sizeof info);
            memcpy(CMSG_DATA(c), &info, sizeof info);
        } else {
            struct in_pktinfo info = {0};
            memcpy(&info.ipi_spec_dst, local->bytes + 12, 4);
            c->cmsg_level = IPPROTO_IP;
            c->cmsg_type = IP_PKTINFO;
            c->cmsg_len = CMSG_LEN(sizeof info);
            memcpy(CMSG_DATA(c), &info, sizeof info);
        }
    }
    return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
