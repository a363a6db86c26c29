/// One list of the IP filter.
package struct FilterListRow: Codable, Equatable, Sendable {
    package struct Malformed: Codable, Equatable, Sendable {
        package var line: Int
        package var text: String
        package init(line: Int, text: String) { (self.line, self.text) = (line, text) }
    }
    /// A path, a URL, or "ranges" for those of the settings.
    package var source: String
    package var lines: Int
    package var ranges: Int
    /// Lines that could not be read, and the first few of them.
    package var malformedCount: Int
    package var malformed: [Malformed]
    /// Seconds since 1970: of the file that was read; absent when none was.
    package var modified: UInt64?
    /// Seconds since 1970 when it is fetched next; absent for what is not fetched.
    package var nextFetch: UInt64?
    /// Why it was not read or fetched.
    package var error: String?
    package init(
        source: String, lines: Int = 0, ranges: Int = 0, malformedCount: Int = 0, malformed: [Malformed] = [], modified: UInt64? = nil,
        nextFetch: UInt64? = nil, error: String? = nil
    ) {
        self.source = source
        self.lines = lines
        self.ranges = ranges
        self.malformedCount = malformedCount
        self.malformed = malformed
        self.modified = modified
        self.nextFetch = nextFetch
        self.error = error
    }
}

package struct FilterAnswer: Codable, Equatable, Sendable {
    package var enabled: Bool
    /// block or allow.
    package var mode: String
    /// After merging.
    package var ranges: Int
    /// IPv4 addresses in them.
    package var addresses: UInt64
    package var loading: Bool
    /// How long reading, merging and storing took.
    package var loadMilliseconds: UInt64
    /// Of one address, the mean of many, measured after loading.
    package var lookupNanoseconds: Double
    package var lists: [FilterListRow]
    /// Connections refused, addresses not taken, connections closed, since the peer workers started.
    package var refused: UInt64
    package var notTaken: UInt64
    package var closed: UInt64
    package init(
        enabled: Bool, mode: String, ranges: Int, addresses: UInt64, loading: Bool, loadMilliseconds: UInt64, lookupNanoseconds: Double, lists: [FilterListRow],
        refused: UInt64, notTaken: UInt64, closed: UInt64
    ) {
        self.enabled = enabled
        self.mode = mode
        self.ranges = ranges
        self.addresses = addresses
        self.loading = loading
        self.loadMilliseconds = loadMilliseconds
        self.lookupNanoseconds = lookupNanoseconds
        self.lists = lists
        self.refused = refused
        self.notTaken = notTaken
        self.closed = closed
    }
}

package struct FilterTestParameters: Codable, Equatable, Sendable {
    package var address: String
    package init(address: String) { self.address = address }
}
package struct FilterTestAnswer: Codable, Equatable, Sendable {
    package var address: String
    package var blocked: Bool
    package init(address: String, blocked: Bool) { (self.address, self.blocked) = (address, blocked) }
}

/// Changes the setting security.ip_filter.ranges.
package struct FilterRangesParameters: Codable, Equatable, Sendable {
    package var add: [String]?
    package var remove: [String]?
    package init(add: [String]? = nil, remove: [String]? = nil) { (self.add, self.remove) = (add, remove) }
}

extension ControlMethods {
    package enum ShowFilter: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = FilterAnswer
        package static let name = "filter.status"
    }
    /// Reads every list again and fetches those that have a URL; answered at once.
    package enum ReloadFilter: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = Empty
        package static let name = "filter.reload"
    }
    package enum TestFilter: ControlMethod {
        package typealias Parameters = FilterTestParameters
        package typealias Answer = FilterTestAnswer
        package static let name = "filter.test"
    }
    package enum ChangeFilterRanges: ControlMethod {
        package typealias Parameters = FilterRangesParameters
        package typealias Answer = Empty
        package static let name = "filter.ranges"
    }
}
