import Discovery
import Primitives
import Testing

@Suite struct AddressCacheTests {
    let now = Instant.zero + .seconds(10)
    let one = Endpoint("1.1.1.1:0")!, two = Endpoint("2.2.2.2:0")!

    @Test func literalsNeedNoLookup() {
        var cache = AddressCache()
        #expect(cache.find("1.1.1.1", now: now) == .known([one]))
        #expect(cache.find("::1", now: now) == .known([Endpoint("[::1]:0")!]))
        #expect(cache.count == 0)
    }

    @Test func oneLookupAtATimeAndFiveMinutes() {
        var cache = AddressCache()
        #expect(cache.find("h", now: now) == .lookUp)
        #expect(cache.find("h", now: now) == .wait)
        #expect(cache.resolved("h", [one, two, one], now: now) == .known([one, two]))
        #expect(cache.find("h", now: now + .seconds(299)) == .known([one, two]))
        #expect(cache.find("h", now: now + .seconds(300)) == .lookUp)
    }

    @Test func theLastGoodAnswerServesAnHour() {
        var cache = AddressCache()
        _ = cache.find("h", now: now)
        _ = cache.resolved("h", [one], now: now)
        var at = now + .seconds(400)
        #expect(cache.find("h", now: at) == .lookUp)
        #expect(cache.failed("h", "no server", now: at) == .known([one]))
        #expect(cache.find("h", now: at + .seconds(1)) == .known([one]))
        at = now + .seconds(3_601)
        #expect(cache.find("h", now: at) == .lookUp)
        #expect(cache.failed("h", "no server", now: at) == .failed("no server"))
        // Not asked again at once.
        #expect(cache.find("h", now: at + .seconds(29)) == .failed("no server"))
        #expect(cache.find("h", now: at + .seconds(30)) == .lookUp)
        #expect(cache.resolved("h", [], now: at) == .failed("the name has no address"))
    }

    @Test func anAddressThatDoesNotAnswerGoesToTheEnd() {
        var cache = AddressCache()
        _ = cache.find("h", now: now)
        _ = cache.resolved("h", [one, two], now: now)
        cache.demote("h", Endpoint("1.1.1.1:6969")!)
        #expect(cache.find("h", now: now) == .known([two, one]))
        cache.demote("h", one)
        #expect(cache.find("h", now: now) == .known([two, one]))
    }

    @Test func namesAndAddressesAreBounded() {
        var cache = AddressCache(limit: 10)
        for n in 0..<100 {
            let host = "h\(n)"
            #expect(cache.find(host, now: now + .seconds(n)) == .lookUp)
            _ = cache.resolved(host, (0..<50).map { Endpoint(ipv4: UInt32($0) + 1, port: 0) }, now: now + .seconds(n))
        }
        #expect(cache.count == 10)
        guard case .known(let addresses) = cache.find("h99", now: now + .seconds(100)) else { Issue.record("unknown"); return }
        #expect(addresses.count == AddressCache.addressesPerName)
        #expect(cache.find("h0", now: now + .seconds(100)) == .lookUp)
    }
}

@Suite struct AddressPolicyTests {
    struct Case: Sendable {
        let address: String
        let kind: AddressClass
    }
    @Test(arguments: [
        Case(address: "8.8.8.8", kind: .global), Case(address: "2001:db8::1", kind: .global), Case(address: "10.0.0.1", kind: .local),
        Case(address: "172.31.255.255", kind: .local), Case(address: "172.32.0.0", kind: .global), Case(address: "192.168.0.1", kind: .local),
        Case(address: "100.64.0.1", kind: .local), Case(address: "fd00::1", kind: .local), Case(address: "127.0.0.1", kind: .loopback),
        Case(address: "127.255.0.1", kind: .loopback), Case(address: "::1", kind: .loopback), Case(address: "::ffff:127.0.0.1", kind: .loopback),
        Case(address: "::ffff:10.0.0.1", kind: .local), Case(address: "64:ff9b::7f00:1", kind: .loopback),
        Case(address: "2002:7f00:1::", kind: .loopback), Case(address: "::127.0.0.1", kind: .loopback),
        Case(address: "64:ff9b::a9fe:a9fe", kind: .forbidden), Case(address: "169.254.169.254", kind: .forbidden),
        Case(address: "fe80::1", kind: .forbidden), Case(address: "0.0.0.0", kind: .forbidden), Case(address: "0.1.2.3", kind: .forbidden),
        Case(address: "::", kind: .forbidden), Case(address: "224.0.0.1", kind: .forbidden), Case(address: "ff02::1", kind: .forbidden),
        Case(address: "255.255.255.255", kind: .forbidden), Case(address: "240.0.0.1", kind: .forbidden),
    ])
    func classes(_ c: Case) throws {
        #expect(AddressClass(try #require(Endpoint(address: c.address, port: 1))) == c.kind)
    }

    @Test func redirectsLeadNoFurtherIn() {
        let places = ["8.8.8.8:1", "10.0.0.1:1", "127.0.0.1:1", "169.254.169.254:1"].map { Endpoint($0)! }
        let first = AddressPolicy()
        #expect(places.map { first.admits($0, path: "/announce") } == [true, true, true, false])
        for (from, allowed) in [(0, [true, false, false, false]), (1, [true, true, false, false]), (2, [true, true, true, false])] {
            var policy = AddressPolicy()
            policy.visited(places[from])
            #expect(places.map { policy.admits($0, path: "/announce") } == allowed)
        }
        var policy = AddressPolicy()
        policy.visited(places[2])
        policy.visited(places[0])
        #expect(!policy.admits(places[2], path: "/announce"))
    }

    @Test(arguments: [
        ("/announce", true), ("/announce/abc", true), ("/announce.php", true), ("/announcex", false), ("/", false), ("", false),
        ("/x/announce", false), ("/shutdown", false),
    ])
    func onThisMachineOnlyAnnounce(_ path: String, _ allowed: Bool) {
        #expect(AddressPolicy().admits(Endpoint("127.0.0.1:9")!, path: path) == allowed)
        #expect(AddressPolicy().admits(Endpoint("8.8.8.8:9")!, path: path))
    }
}
