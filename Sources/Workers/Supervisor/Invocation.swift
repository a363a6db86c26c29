import Glibc
import LinuxIO
import Primitives
import Settings

/// What `ccbtd` was called with, once its words are read.
package struct Invocation: Sendable {
    package var stateDirectory: String
    package var configurationFile: String?
    /// Overrides network.listen_interface and network.listen_port; several are several sockets.
    package var listen: [Endpoint]
    package var settings: [(key: String, value: String)]
    package var environment: [(String, String)]

    /// Throws what is wrong, in one line.
    package init(
        stateDirectory: String, configurationFile: String? = nil, listen: [String] = [], settings: [String] = [],
        environment: [(String, String)] = []
    ) throws(StartError) {
        guard let state = Self.absolute(stateDirectory) else { throw StartError("--state-dir: an empty path") }
        // sun_path holds 108 bytes with the closing NUL; control.sock stands below this folder.
        guard state.utf8.count + "/control.sock".utf8.count < 108 else {
            throw StartError("--state-dir: longer than 94 bytes, the socket in it could not be bound")
        }
        self.stateDirectory = state
        if let file = configurationFile {
            guard let path = Self.absolute(file) else { throw StartError("--config: an empty path") }
            self.configurationFile = path
        }
        var endpoints: [Endpoint] = []
        for text in listen {
            guard let endpoint = Endpoint(text) else { throw StartError("--listen \(text): takes IP:PORT, as 0.0.0.0:64122 or [::]:64122") }
            endpoints.append(endpoint)
        }
        // One receives what another could: 16 addresses are more than a machine's interfaces need.
        guard endpoints.count <= 16 else { throw StartError("--listen: at most 16") }
        self.listen = endpoints
        var pairs: [(String, String)] = []
        for text in settings {
            guard let equals = text.firstIndex(of: "=") else { throw StartError("--set \(text): takes section.key=value") }
            pairs.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
        }
        self.settings = pairs
        self.environment = environment
    }

    /// Defaults, file, environment, command line; later ones win.
    package func resolve() throws(StartError) -> Settings {
        var layers: [SettingsLayer] = []
        if let configurationFile { layers.append(try ConfigurationFile.read(configurationFile)) }
        layers.append(.environment(environment))
        layers.append(SettingsLayer(settings.map { .init(key: $0.key, value: .untyped($0.value), place: "--set") }))
        do throws(SettingsError) {
            return try Settings.resolve(layers)
        } catch {
            throw StartError(error.description)
        }
    }

    /// What --listen says in the words of the options, for everything else that goes by them: announces and datagrams leave from the
    /// address where peers find us. Of several addresses none is the only one: then all interfaces, of both families if any is IPv6.
    package func override(_ settings: inout Settings) {
        guard let first = listen.first else { return }
        let any = Endpoint(address: listen.allSatisfy(\.isIPv4) ? "0.0.0.0" : "::", port: 0)!
        let only = listen.allSatisfy { ($0.high, $0.low) == (first.high, first.low) } ? first : any
        do throws(SettingsError) {
            try settings.set("network.listen_interface", .untyped(only.address))
            try settings.set("network.listen_port", .untyped("\(first.port)"))
        } catch {
            // An address and a port of an endpoint are what these options take.
            preconditionFailure(error.description)
        }
    }

    /// Where to listen for peers.
    package func endpoints(_ settings: Settings) -> [Endpoint] {
        if !listen.isEmpty { return listen }
        // The option's kind allows address literals only.
        return [Endpoint(address: settings.string("network.listen_interface"), port: UInt16(settings.int("network.listen_port")))!]
    }

    /// Where to serve HTTP.
    package func apiEndpoints(_ settings: Settings) throws(StartError) -> [Endpoint] {
        var out: [Endpoint] = []
        for text in settings.list("api.listen") {
            guard let endpoint = Endpoint(text) else { throw StartError("api.listen: \(text) is not IP:PORT, as 127.0.0.1:8080 or [::1]:8080") }
            out.append(endpoint)
        }
        return out
    }

    /// The process's environment.
    package static func processEnvironment() -> [(String, String)] {
        Spawn.environment.compactMap { entry in
            guard let equals = entry.firstIndex(of: "=") else { return nil }
            return (String(entry[..<equals]), String(entry[entry.index(after: equals)...]))
        }
    }

    static func absolute(_ path: String) -> String? {
        guard !path.isEmpty else { return nil }
        if path.hasPrefix("/") { return path }
        var buffer = [CChar](repeating: 0, count: 4096)
        guard getcwd(&buffer, buffer.count) != nil else { return nil }
        let folder = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return folder + "/" + path
    }
}
