import Primitives

/// How many torrents may be active at once; 0: no limit.
package struct QueueLimits: Hashable, Sendable {
    package var isManaged: Bool
    package var active: Int
    package var downloading: Int
    package var seeding: Int
    package init(isManaged: Bool = true, active: Int = 0, downloading: Int = 0, seeding: Int = 0) {
        self.isManaged = isManaged
        self.active = active
        self.downloading = downloading
        self.seeding = seeding
    }
    var isUnlimited: Bool { !isManaged || active == 0 && downloading == 0 && seeding == 0 }
}

extension CatalogCore {
    /// First added, first served. A paused torrent, one in error and one whose files are being looked at takes no place.
    mutating func applyQueue(into effects: inout [CatalogEffect]) {
        isQueueDirty = false
        var active = 0, downloading = 0, seeding = 0
        for i in rows.indices {
            guard let row = rows[i], row.record.removal == .none else { continue }
            var hold = false
            let takesPlace =
                !row.record.isPaused && row.derivedPhase != .error && (row.record.isChecked || !row.record.facts.hasMetadata)
            if takesPlace, !queue.isUnlimited {
                let seeds = row.isComplete
                hold =
                    queue.active > 0 && active >= queue.active
                    || (seeds ? queue.seeding > 0 && seeding >= queue.seeding : queue.downloading > 0 && downloading >= queue.downloading)
                if !hold {
                    active += 1
                    if seeds { seeding += 1 } else { downloading += 1 }
                }
            }
            if hold != row.isHeld {
                rows[i]!.isHeld = hold
                settle(i, into: &effects)
            }
        }
    }
}
