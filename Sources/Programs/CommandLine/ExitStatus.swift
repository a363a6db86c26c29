/// How the front ends end. Scripts may rely on these numbers.
package enum ExitStatus: Int32, Sendable {
    case done = 0
    /// The thing asked for was tried and failed.
    case failed = 1
    /// The command line makes no sense.
    case usage = 2
    /// No daemon listens on the state folder's control socket.
    case noDaemon = 3
    /// No torrent, file or worker of that name.
    case notFound = 4
    /// EX_TEMPFAIL: the same command may succeed later (a part of the daemon is restarting).
    case temporary = 75
    /// EX_CONFIG: a setting or the configuration file is wrong.
    case configuration = 78
}

/// What a command throws: one line for standard error, and the exit status.
package struct Failure: Error, CustomStringConvertible, Equatable {
    package let status: ExitStatus
    package let text: String

    package init(_ status: ExitStatus, _ text: String) {
        self.status = status
        self.text = text
    }
    /// Never more than one line, and never a control character, whatever the text was made from.
    package var description: String { Printable.escape(text) }
}
