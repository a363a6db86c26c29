import CLinux
import Glibc
import LinuxIO
import Primitives
import Testing

extension SystemLayer {
    /// Each in a process of its own: the environment and a seccomp filter are the whole process's.
    @Suite struct FallbackTests {
        @Test func whereIoUringIsRefusedTheLoopRunsOnEpollAndSaysWhatToChange() async {
            await #expect(processExitsWith: .success) {
                unsetenv("CCBT_IO")
                refuseIoUring()
                let loop = try Loop()
                precondition(loop.backend == .epoll)
                precondition(loop.fallbackReason.contains("EPERM") && loop.fallbackReason.contains("seccomp"))
                loop.work(token: token(1)) { 7 }
                precondition(loop.result(of: token(1)) == 7)
            }
        }

        @Test func aForcedRingThatIsRefusedIsAnError() async {
            await #expect(processExitsWith: .success) {
                setenv("CCBT_IO", "uring", 1)
                refuseIoUring()
                do {
                    _ = try Loop()
                    preconditionFailure("a loop on a refused ring")
                } catch { precondition(error as? Errno == Errno.operationNotPermitted) }
            }
        }

        @Test func theEnvironmentChoosesTheBackend() async {
            await #expect(processExitsWith: .success) {
                setenv("CCBT_IO", "epoll", 1)
                let loop = try Loop()
                precondition(loop.backend == .epoll && !loop.fallbackReason.isEmpty)
                setenv("CCBT_IO", "kqueue", 1)
                do {
                    _ = try Loop()
                    preconditionFailure("an unknown back-end was taken")
                } catch { precondition(error as? Errno == Errno.invalidArgument) }
            }
        }
    }
}

/// What a container's default seccomp profile does: io_uring_setup (425 on every architecture) answers EPERM.
func refuseIoUring() {
    func instruction(_ code: UInt64, _ jumpTrue: UInt64, _ jumpFalse: UInt64, _ k: UInt64) -> UInt64 {
        code | jumpTrue << 16 | jumpFalse << 24 | k << 32  // struct sock_filter
    }
    var program = [
        instruction(0x20, 0, 0, 0),  // load the call's number
        instruction(0x15, 0, 1, 425),
        instruction(0x06, 0, 0, 0x0005_0000 | UInt64(EPERM)),  // SECCOMP_RET_ERRNO
        instruction(0x06, 0, 0, 0x7FFF_0000),  // SECCOMP_RET_ALLOW
    ]
    program.withUnsafeMutableBufferPointer { code in
        var header: (UInt64, UInt) = (UInt64(code.count), UInt(bitPattern: code.baseAddress))  // struct sock_fprog
        precondition(cl_set_no_new_privileges() == 0)
        withUnsafeMutablePointer(to: &header) {
            let result = cl_prctl(22 /* PR_SET_SECCOMP */, 2 /* filter */, UInt(bitPattern: $0), 0, 0)
            precondition(result == 0, "no seccomp")
        }
    }
}
