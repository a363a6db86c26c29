import CLinux
import Glibc

/// Signals as readable descriptors: no handler runs anywhere in the product.
package enum Signals {
    /// Blocks `signals` in the calling thread and every thread made later (so: call first thing), and returns a non-blocking
    /// signalfd that reads them.
    package static func descriptor(for signals: [Int32]) throws(Errno) -> Int32 { try checked(cl_signalfd(signals, UInt32(signals.count))) }

    package struct Received: Hashable, Sendable {
        package let signal: Int32
        /// The sender, or for SIGCHLD the child.
        package let pid: pid_t
        package init(signal: Int32, pid: pid_t) { (self.signal, self.pid) = (signal, pid) }
    }

    /// The next signal; nil when none waits.
    package static func read(_ fd: Int32) throws(Errno) -> Received? {
        var signal: Int32 = 0
        var pid: pid_t = 0
        return try checked(cl_signalfd_read(fd, &signal, &pid)) == 0 ? nil : Received(signal: signal, pid: pid)
    }

    package static func unblock(_ signals: [Int32]) throws(Errno) { try checked(cl_unblock_signals(signals, UInt32(signals.count))) }

    /// A write to a closed pipe or socket then gives EPIPE instead of ending the process.
    package static func ignoreBrokenPipes() { cl_ignore_signal(SIGPIPE) }

    package static func name(_ signal: Int32) -> String {
        switch signal {
        case SIGHUP: "SIGHUP"
        case SIGINT: "SIGINT"
        case SIGQUIT: "SIGQUIT"
        case SIGILL: "SIGILL"
        case SIGTRAP: "SIGTRAP"
        case SIGABRT: "SIGABRT"
        case SIGBUS: "SIGBUS"
        case SIGFPE: "SIGFPE"
        case SIGKILL: "SIGKILL"
        case SIGUSR1: "SIGUSR1"
        case SIGSEGV: "SIGSEGV"
        case SIGUSR2: "SIGUSR2"
        case SIGPIPE: "SIGPIPE"
        case SIGALRM: "SIGALRM"
        case SIGTERM: "SIGTERM"
        case SIGCHLD: "SIGCHLD"
        case SIGCONT: "SIGCONT"
        case SIGSTOP: "SIGSTOP"
        case SIGXCPU: "SIGXCPU"
        case SIGXFSZ: "SIGXFSZ"
        case SIGSYS: "SIGSYS"
        default: "signal \(signal)"
        }
    }
}
