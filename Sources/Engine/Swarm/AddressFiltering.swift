import Filtering
import Primitives

package struct FilterCounts: Hashable, Sendable {
    package var accepts: UInt64 = 0
    package var addresses: UInt64 = 0
    package var closed: UInt64 = 0
    package init() {}
}

/// The IP filter: asked of every connection that comes in, every address that is learned from whatever source, and again
/// before each dial, since the filter may have changed after an address was learned.
extension Swarm {
    /// nil: nobody is refused. Connections that the new filter refuses are closed.
    package func setFilter(_ filter: AddressFilter?, now: Instant, into effects: inout EffectBuffer) {
        self.filter = filter
        guard let filter else { return }
        for i in 0..<peerRows where peers[i].stage != .free && peers[i].stage != .closing && !peers[i].isWebSeed && filter.blocks(peers[i].endpoint) {
            filterCounts.closed += 1
            close(i, .filtered, now, &effects)
        }
    }

    func isRefused(_ endpoint: Endpoint) -> Bool { filter?.blocks(endpoint) ?? false }
}
