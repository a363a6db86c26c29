#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The numbers of landlock(7). Debian 12's headers know its first version only, the kernel that runs may know more.
enum {
    LANDLOCK_CREATE = 444, LANDLOCK_ADD_RULE = 445, LANDLOCK_RESTRICT_SELF = 446,
    FS_EXECUTE = 1 << 0, FS_WRITE_FILE = 1 << 1, FS_READ_FILE = 1 << 2, FS_READ_DIR = 1 << 3, FS_REMOVE_FILE = 1 << 5, FS_MAKE_REG = 1 << 8,
    FS_ALL_OF_1 = (1 << 13) - 1, FS_REFER = 1 << 13, FS_TRUNCATE = 1 << 14,
    NET_CONNECT_TCP = 1 << 1, NET_BIND_TCP = 1 << 0,
    SCOPE_ABSTRACT_SOCKETS = 1 << 0, SCOPE_SIGNALS = 1 << 1,
};
struct ruleset { uint64_t files, network, scope; };
struct __attribute__((packed)) beneath { uint64_t rights; int32_t parent; };

int cl_landlock_version(void) {
    long v = syscall(LANDLOCK_CREATE, NULL, 0, 1 /* the version, please */);
    return v < 0 ? 0 : (int)v;
}

static int allow(int rules, const char *path, uint64_t rights) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
    struct stat status;
    // A rule on a file takes only what a file can be asked for.
    if (!fstat(fd, &status) && !S_ISDIR(status.st_mode)) rights &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
    struct beneath rule = {.rights = rights, .parent = fd};
    long r = syscall(LANDLOCK_ADD_RULE, rules, 1 /* beneath a path */, &rule, 0);
    int e = r < 0 ? -errno : 0;
    close(fd);
    return e;
}

int cl_confine_files(const struct cl_path_right *paths, unsigned count, _Bool tcp) {
    int version = cl_landlock_version();
    if (!version) return 0;
    struct ruleset set = {.files = count ? FS_ALL_OF_1 : 0};
    if (version >= 2) set.files |= FS_REFER;
    if (version >= 3 && count) set.files |= FS_TRUNCATE;
    if (version >= 4 && !tcp) set.network = NET_CONNECT_TCP | NET_BIND_TCP;
    if (version >= 6) set.scope = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
    if (!set.files && !set.network && !set.scope) return version;
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    long rules = syscall(LANDLOCK_CREATE, &set, size, 0);
    if (rules < 0) return -errno;
    int e = 0;
    for (unsigned i = 0; i < count && !e; i++) {
        uint64_t rights = FS_READ_FILE | FS_READ_DIR;
        if (paths[i].writes) rights |= FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | (version >= 3 ? FS_TRUNCATE : 0);
        e = allow((int)rules, paths[i].path, rights & set.files);
    }
    // Any ruleset takes away moves between folders unless it grants them.
    if (!e && !count && version >= 2) e = allow((int)rules, "/", FS_REFER);
    if (!e && syscall(LANDLOCK_RESTRICT_SELF, (int)rules, 0) < 0) e = -errno;
    close((int)rules);
    return e ? e : version;
}

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

// What no worker ever calls: other processes' memory, mounts, namespaces, modules, keys, clocks. Numbers that an
// architecture lacks are left out.
static const short of_the_system[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot,
    SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsmount, SYS_fsconfig, SYS_fspick, SYS_mount_setattr, SYS_setns, SYS_unshare, SYS_bpf,
    SYS_perf_event_open, SYS_userfaultfd, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_add_key, SYS_request_key,
    SYS_keyctl, SYS_open_by_handle_at, SYS_swapon, SYS_swapoff, SYS_reboot, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime,
    SYS_acct, SYS_quotactl, SYS_sethostname, SYS_setdomainname, SYS_personality, SYS_syslog, SYS_vhangup, SYS_lookup_dcookie,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
};
static const short of_programs[] = {SYS_execve, SYS_execveat};
static const short of_sockets[] = {SYS_socket, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4};
static const short of_rings[] = {SYS_io_uring_setup};

#define COUNT(a) (sizeof(a) / sizeof *(a))

int cl_refuse_calls(unsigned groups, _Bool all_threads) {
#ifndef THIS_ARCHITECTURE
    return -EOPNOTSUPP;
#else
    struct sock_filter code[128];
    unsigned n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCHITECTURE, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
    // The x32 calls have numbers of their own, past which the list below would not look.
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
#endif
    const struct { const short *calls; unsigned count, group; } lists[] = {
        {of_the_system, COUNT(of_the_system), CL_CALLS_SYSTEM}, {of_programs, COUNT(of_programs), CL_CALLS_PROGRAMS},
        {of_sockets, COUNT(of_sockets), CL_CALLS_SOCKETS}, {of_rings, COUNT(of_rings), CL_CALLS_RINGS},
    };
    _Static_assert(2 * (COUNT(of_the_system) + COUNT(of_programs) + COUNT(of_sockets) + COUNT(of_rings)) + 8 <= COUNT(code), "room for all");
    for (unsigned l = 0; l < COUNT(lists); l++) {
        if (!(groups & lists[l].group)) continue;
        for (unsigned i = 0; i < lists[l].count; i++) {
            code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)lists[l].calls[i], 0, 1);
            code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
        }
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    // Positive: the number of a thread that could not follow.
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0, &program);
    return r < 0 ? -errno : r > 0 ? -ESRCH : 0;
#endif
}
