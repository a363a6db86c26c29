import Glibc

/// SIGINT and SIGTERM as a flag. Blocking calls return early (no SA_RESTART), so that the flag is looked at.
package enum Interruption {
    /// Written by the handler only; a word-sized store is all that it does.
    nonisolated(unsafe) private static var received: Int32 = 0

    package static func catchSignals() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { signal in Interruption.received = signal }
        sigemptyset(&action.sa_mask)
        sigaction(SIGINT, &action, nil)
        sigaction(SIGTERM, &action, nil)
    }

    /// The signal that came, if any.
    package static var signal: Int32? { received == 0 ? nil : received }
}
