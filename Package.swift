// swift-tools-version: 6.3
import PackageDescription

// Layers from the one that knows nothing to the one that knows all. A target may use its own layer's
// predecessors only; Tests/Tidy checks the arrows.
//
// CCBT_ONLY=PeerWireTests,SwarmTests keeps those targets and what they need, so that one part builds and
// tests in seconds.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

func layer(_ folder: String) -> (String, [Target.Dependency]) -> Target {
    { name, dependencies in
        .target(name: name, dependencies: dependencies, path: "Sources/\(folder)/\(name)", swiftSettings: strict)
    }
}

func tests(_ name: String, _ path: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(path)",
        resources: [], swiftSettings: strict)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: "Sources/Programs/\(name)", swiftSettings: strict)
}

let system = layer("System"), primitives = layer("Primitives"), wire = layer("Wire")
let engine = layer("Engine"), link = layer("Link"), workers = layer("Workers"), programs = layer("Programs")

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let toml: Target.Dependency = .product(name: "TOMLKit", package: "TOMLKit")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
// HTTP, for the API worker alone. Hummingbird's core and TLS without its router: the compatible APIs name their routes in tables.
let http: [Target.Dependency] = [
    .product(name: "HummingbirdCore", package: "hummingbird"), .product(name: "HummingbirdTLS", package: "hummingbird"),
    .product(name: "HTTPTypes", package: "swift-http-types"), .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"), logging,
]

var targets: [Target] = [
    // System: what Linux gives; no BitTorrent word in it.
    .target(
        name: "CLinux", path: "Sources/System/CLinux", cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-O2"])],
        linkerSettings: [.linkedLibrary("uring")]),
    .target(
        name: "CHash", path: "Sources/System/CHash", cSettings: [.unsafeFlags(["-O3"])],
        linkerSettings: [.linkedLibrary("crypto")]),
    .target(
        name: "CCipher", path: "Sources/System/CCipher", cSettings: [.unsafeFlags(["-O3"])],
        linkerSettings: [.linkedLibrary("crypto")]),
    .target(
        name: "CCurl", path: "Sources/System/CCurl", cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-O2"])],
        linkerSettings: [.linkedLibrary("curl")]),
    .target(
        name: "CZip", path: "Sources/System/CZip", cSettings: [.unsafeFlags(["-O2"])],
        linkerSettings: [.linkedLibrary("z")]),
    .target(
        name: "CXML", path: "Sources/System/CXML", cSettings: [.unsafeFlags(["-O2", "-I/usr/include/libxml2"])],
        linkerSettings: [.linkedLibrary("xml2")]),
    .target(
        name: "CUPnP", path: "Sources/System/CUPnP", cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-O2"])],
        linkerSettings: [.linkedLibrary("miniupnpc")]),
    system("LinuxIO", ["CLinux", "Primitives"]),
    system("Observe", ["Primitives"]),
    system("HTTPKit", ["LinuxIO", "CCurl", "Primitives"]),

    // Primitives: the nouns everybody shares, and the only unaligned loads.
    primitives("Primitives", []),
    primitives("ByteCodec", ["Primitives"]),

    // Wire: bytes to values and back; pure.
    wire("Bencode", ["Primitives", "ByteCodec"]),
    wire("Metainfo", ["Bencode", "CHash", "Primitives", "ByteCodec"]),
    wire("PeerWire", ["Bencode", "Primitives", "ByteCodec"]),
    wire("PeerEncryption", ["CCipher", "CHash", "Primitives", "ByteCodec"]),
    wire("ProxyWire", ["Primitives", "ByteCodec"]),
    wire("TrackerWire", ["Bencode", "Primitives", "ByteCodec"]),
    wire("PortMappingWire", ["Primitives", "ByteCodec"]),
    wire("LSDWire", ["Primitives"]),
    wire("KRPC", ["Bencode", "CHash", "Primitives", "ByteCodec"]),
    wire("UTPWire", ["Primitives"]),
    wire("HTTPWire", []),

    // Engine: decisions; pure; event + now in, effects out.
    engine("Limits", ["Primitives"]),
    engine("Filtering", ["Primitives", "ByteCodec"]),
    engine("Settings", ["Limits", "Primitives"]),
    engine("Buffers", ["Primitives"]),
    engine("Swarm", ["PeerWire", "Buffers", "Limits", "Filtering", "Primitives", "ByteCodec"]),
    engine("Pieces", ["Primitives"]),
    engine("WebSeeds", ["Primitives"]),
    engine("Discovery", ["TrackerWire", "LSDWire", "PortMappingWire", "Supervision", "Primitives"]),
    engine("Catalog", ["Metainfo", "Limits", "Primitives"]),
    engine("DHT", ["Discovery", "KRPC", "Bencode", "Primitives"]),
    engine("Supervision", ["Primitives"]),
    engine("MicroTransport", ["UTPWire", "Primitives"]),
    engine("Relaying", ["ProxyWire", "Primitives", "ByteCodec"]),

    // Link: what both sides of a process boundary share.
    link("IPC", ["Primitives", "ByteCodec"]),
    link("BlockArena", ["Primitives"]),
    link("Control", ["Primitives"]),

    // Workers: shells; each owns one loop and one core.
    workers("WorkerKit", ["ProxyWire", "Relaying", "IPC", "LinuxIO", "CLinux", "Observe", "Filtering", "Settings", "Supervision", "Primitives", "ByteCodec"]),
    workers(
        "PeerWorker",
        [
            "WorkerKit", "HTTPKit", "ProxyWire", "Relaying", "CCurl", "WebSeeds", "Discovery", "Metainfo", "Supervision", "IPC", "BlockArena", "LinuxIO", "CLinux", "CHash", "Buffers", "Limits",
            "Filtering", "Swarm", "MicroTransport", "PeerWire", "PeerEncryption", "Settings", "Observe", "Primitives", "ByteCodec",
        ]),
    workers(
        "DiskWorker",
        ["WorkerKit", "IPC", "BlockArena", "LinuxIO", "CLinux", "CHash", "Pieces", "Metainfo", "Settings", "Observe", "Primitives", "ByteCodec"]),
    workers(
        "DiscoveryWorker",
        [
            "WorkerKit", "HTTPKit", "ProxyWire", "IPC", "LinuxIO", "CLinux", "CCurl", "CUPnP", "Filtering", "DHT", "KRPC", "LSDWire", "PortMappingWire", "Discovery", "TrackerWire",
            "Settings", "Observe", "Primitives", "ByteCodec",
        ]),
    workers(
        "SessionWorker",
        [
            "WorkerKit", "IPC", "LinuxIO", "CLinux", "CHash", "CZip", "CXML", "Catalog", "Limits", "Filtering", "Control", "KRPC", "Metainfo", "Bencode", "Settings", "Observe",
            "Primitives", "ByteCodec", grdb,
        ]),
    .target(
        name: "APIWorker",
        dependencies: (["WorkerKit", "HTTPWire", "IPC", "LinuxIO", "CHash", "Control", "Limits", "Settings", "Observe", "Primitives", "ByteCodec"] as [Target.Dependency]) + http,
        path: "Sources/Workers/APIWorker", resources: [.copy("Web")], swiftSettings: strict),
    workers("Supervisor", ["WorkerKit", "IPC", "BlockArena", "LinuxIO", "CLinux", "Supervision", "Settings", "Observe", "Primitives", "ByteCodec", toml]),

    // Programs: one main each.
    programs(
        "CommandLine",
        ["Control", "KRPC", "Metainfo", "Bencode", "CHash", "Limits", "Filtering", "Settings", "CLinux", "Primitives", "ByteCodec", arguments]),
    program("ccbtd", ["Supervisor", arguments]),
    program("ccbt-session", ["SessionWorker"]),
    program("ccbt-peer", ["PeerWorker", "WorkerKit"]),
    program("ccbt-disk", ["DiskWorker"]),
    program("ccbt-discovery", ["DiscoveryWorker"]),
    program("ccbt-api", ["APIWorker", "WorkerKit"]),
    program("ccbt", ["CommandLine"]),
    program("btbt", ["CommandLine"]),

    // Tests mirror the layers.
    .target(
        name: "Simulator",
        dependencies: ["Swarm", "Buffers", "Limits", "BlockArena", "Pieces", "Discovery", "Catalog", "Supervision", "MicroTransport", "PeerWire", "TrackerWire", "Primitives", "ByteCodec"],
        path: "Tests/Support/Simulator",
        // Optimised in every build: a debug build is for the invariants of the cores, not for copying payload slowly.
        swiftSettings: strict + [.unsafeFlags(["-O"])]),
    .executableTarget(name: "ccbt-sim", dependencies: ["Simulator"], path: "Tests/Support/ccbt-sim", swiftSettings: strict),
    .target(
        name: "DHTSimulator", dependencies: ["DHT", "KRPC", "Primitives"], path: "Tests/Support/DHTSimulator", swiftSettings: strict + [.unsafeFlags(["-O"])]),
    .executableTarget(name: "ccbt-dht-sim", dependencies: ["DHTSimulator"], path: "Tests/Support/ccbt-dht-sim", swiftSettings: strict),
    tests("SimulationTests", "Simulation", ["Simulator", "Primitives"]),
    tests("PeerWorkerTests", "Workers/Peer", ["PeerWorker", "CHash", "MicroTransport", "ProxyWire", "LinuxIO", "PeerEncryption", "IPC", "Settings", "ByteCodec", "Primitives"]),
    tests("ProxyWireTests", "Wire/ProxyWire", ["ProxyWire", "Primitives", "ByteCodec"]),
    tests("PeerEncryptionTests", "Wire/PeerEncryption", ["PeerEncryption", "CCipher", "Primitives", "ByteCodec"]),
    tests("PrimitivesTests", "Primitives", ["Primitives", "ByteCodec"]),
    tests("BuffersTests", "Engine/Buffers", ["Buffers", "Primitives"]),
    tests("SystemTests", "System/LinuxIO", ["LinuxIO", "Observe", "CLinux", "Primitives"]),
    tests("LinkTests", "Link", ["IPC", "BlockArena", "Primitives", "ByteCodec"]),
    tests("SettingsTests", "Engine/Settings", ["Settings", "Primitives"]),
    tests("CatalogTests", "Engine/Catalog", ["Catalog", "Limits", "Primitives"]),
    tests(
        "SessionWorkerTests", "Workers/Session",
        ["SessionWorker", "ccbt-session", "Control", "Catalog", "Settings", "WorkerKit", "IPC", "LinuxIO", "CLinux", "Metainfo", "Bencode", "Primitives", "ByteCodec", grdb]),
    tests("CHashTests", "System/CHash", ["CHash"]),
    tests("BencodeTests", "Wire/Bencode", ["Bencode", "Primitives", "ByteCodec"]),
    tests("MetainfoTests", "Wire/Metainfo", ["Metainfo", "Bencode", "CHash", "Primitives", "ByteCodec"]),
    tests("SupervisionTests", "Engine/Supervision", ["Supervision", "Primitives"]),
    .executableTarget(
        name: "ccbt-testworker", dependencies: ["WorkerKit", "IPC", "LinuxIO", "Settings", "Primitives", "ByteCodec"], path: "Tests/Workers/TestWorker", swiftSettings: strict),
    tests(
        "SupervisorTests", "Workers/Supervisor",
        ["ccbtd", "ccbt-testworker", "Supervisor", "WorkerKit", "Supervision", "IPC", "LinuxIO", "CLinux", "Observe", "Settings", "BlockArena", "Primitives", "ByteCodec"]),
    tests("TidyTests", "Tidy", []),
    tests("TrackerWireTests", "Wire/TrackerWire", ["TrackerWire", "Bencode", "Primitives", "ByteCodec"]),
    tests("PortMappingWireTests", "Wire/PortMappingWire", ["PortMappingWire", "Primitives"]),
    tests("LSDWireTests", "Wire/LSDWire", ["LSDWire", "Primitives"]),
    tests("KRPCTests", "Wire/KRPC", ["KRPC", "Bencode", "Primitives", "ByteCodec"]),
    tests("DHTTests", "Engine/DHT", ["DHT", "DHTSimulator", "KRPC", "Bencode", "Primitives"]),
    tests("DiscoveryTests", "Engine/Discovery", ["Discovery", "TrackerWire", "LSDWire", "PortMappingWire", "Supervision", "Primitives", "ByteCodec"]),
    tests(
        "DiscoveryWorkerTests", "Workers/Discovery", ["ccbt-discovery", "DiscoveryWorker", "Discovery", "TrackerWire", "WorkerKit", "IPC", "LinuxIO", "CLinux", "Settings", "Primitives", "ByteCodec"]),
    tests("PeerWireTests", "Wire/PeerWire", ["PeerWire", "Bencode", "Primitives", "ByteCodec"]),
    tests("SwarmTests", "Engine/Swarm", ["Swarm", "PeerWire", "Buffers", "Limits", "Filtering", "Primitives", "ByteCodec"]),
    tests("LimitsTests", "Engine/Limits", ["Limits", "Primitives"]),
    tests("FilteringTests", "Engine/Filtering", ["Filtering", "Primitives", "ByteCodec"]),
    tests("WebSeedsTests", "Engine/WebSeeds", ["WebSeeds", "Primitives"]),
    .target(
        name: "FuzzTargets",
        dependencies: [
            "Bencode", "Metainfo", "PeerWire", "PeerEncryption", "ProxyWire", "TrackerWire", "KRPC", "LSDWire",
            "PortMappingWire", "UTPWire", "HTTPWire", "MicroTransport", "Filtering", "Catalog", "Control", "IPC", "Primitives", "ByteCodec",
        ],
        path: "Tests/Fuzz/Targets", swiftSettings: strict),
    tests("FuzzReplayTests", "Fuzz/Replay", ["FuzzTargets"]),
    tests("HTTPWireTests", "Wire/HTTPWire", ["HTTPWire"]),
    tests("UTPWireTests", "Wire/UTPWire", ["UTPWire", "Primitives"]),
    tests("MicroTransportTests", "Engine/MicroTransport", ["MicroTransport", "UTPWire", "Primitives"]),
    tests("RelayingTests", "Engine/Relaying", ["Relaying", "ProxyWire", "Primitives", "ByteCodec"]),
    tests("PiecesTests", "Engine/Pieces", ["Pieces", "Primitives"]),
    tests("CommandLineTests", "CommandLine", ["CommandLine", "Control", "Settings", "Primitives", "ByteCodec"]),
    tests("APIWorkerTests", "Workers/API", ["APIWorker", "Control", "Settings", "IPC", "LinuxIO", "Primitives"]),
    tests("DiskWorkerTests", "Workers/Disk", ["DiskWorker", "Pieces", "BlockArena", "LinuxIO", "CLinux", "CHash", "Metainfo", "Bencode", "Primitives", "ByteCodec"]),
]

// The fuzzer's own main comes from libFuzzer, so an ordinary build cannot link it; Tests/Fuzz/run sets CCBT_FUZZ.
if Context.environment["CCBT_FUZZ"] != nil {
    targets.append(
        .executableTarget(
            name: "ccbt-fuzz",
            dependencies: ["FuzzTargets"],
            path: "Tests/Fuzz", exclude: ["run", "Corpus", "Targets", "Replay"], sources: ["Fuzz.swift"], swiftSettings: strict))
}

if let only = Context.environment["CCBT_ONLY"] {
    var keep: Set<String> = [], queue = only.split(separator: ",").map(String.init)
    while let name = queue.popLast() {
        guard keep.insert(name).inserted else { continue }
        for dependency in targets.first(where: { $0.name == name })?.dependencies ?? [] {
            switch dependency {
            case .byNameItem(let other, _), .targetItem(let other, _): queue.append(other)
            default: break
            }
        }
    }
    targets.removeAll { !keep.contains($0.name) }
}

let package = Package(
    name: "ccbt",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
    ],
    targets: targets,
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17
)
