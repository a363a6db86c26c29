/// Addresses that no connection is made to or taken from.
extension ControlMethods {
    package enum Bans: ControlMethod {
        package typealias Parameters = Empty
        package typealias Answer = BansAnswer
        package static let name = "bans"
    }
    package enum AddBan: ControlMethod {
        package typealias Parameters = AddBanParameters
        package typealias Answer = Empty
        package static let name = "bans.add"
    }
    /// `not_found` when the address is not banned.
    package enum LiftBan: ControlMethod {
        package typealias Parameters = AddressParameters
        package typealias Answer = Empty
        package static let name = "bans.lift"
    }
}

package struct AddressParameters: Codable, Equatable, Sendable {
    /// As ``BanRow/address``.
    package var address: String
    package init(address: String) { self.address = address }
}
package struct AddBanParameters: Codable, Equatable, Sendable {
    /// An IPv4 or IPv6 address; the latter stands for its /64. A loopback address needs its port.
    package var address: String
    /// How long; absent: a day. At most ten years.
    package var seconds: UInt32?
    package init(address: String, seconds: UInt32? = nil) { (self.address, self.seconds) = (address, seconds) }
}

package struct BansAnswer: Codable, Equatable, Sendable {
    /// The latest first.
    package var bans: [BanRow]
    package init(bans: [BanRow]) { self.bans = bans }
}
package struct BanRow: Codable, Equatable, Sendable {
    /// "192.0.2.7", "2001:db8::/64", or with a port for the loopback address: "127.0.0.1:6881".
    package var address: String
    /// corrupt_piece, corrupt_block, bad_metadata, protocol_violation, message_flood, exchange_flood, useless_blocks,
    /// invalid_requests, slow_handshake, by_user.
    package var reason: String
    /// Seconds since 1970.
    package var since: UInt64
    package var until: UInt64
    package init(address: String, reason: String, since: UInt64, until: UInt64) {
        (self.address, self.reason, self.since, self.until) = (address, reason, since, until)
    }
}
