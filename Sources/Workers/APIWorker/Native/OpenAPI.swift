import HTTPTypes

/// The OpenAPI 3.0 document, made from the table of routes: it cannot name what is not served.
package enum OpenAPI {
    package static func document() -> [UInt8] {
        JSONBytes.object { json in
            json.field("openapi", "3.0.3")
            json.object("info") { json in
                json.field("title", "ccbt")
                json.field("version", "1")
                json.field("description", "The daemon's own API. Log in with the cookie of /api/v2/auth/login, with Basic, or send a key as a bearer token.")
            }
            json.array("servers") { json in
                json.open()
                json.field("url", "/api/v1")
                json.close()
            }
            json.object("components") { json in
                json.object("schemas") { json in
                    json.object("Problem") { json in
                        json.field("type", "object")
                        json.field("required", .texts(["error"]))
                        json.object("properties") { json in
                            json.object("error") { json in
                                json.field("type", "object")
                                json.field("required", .texts(["code", "message"]))
                                json.object("properties") { json in
                                    json.object("code") { $0.field("type", "integer") }
                                    json.object("message") { $0.field("type", "string") }
                                }
                            }
                        }
                    }
                }
                json.object("securitySchemes") { json in
                    scheme("key", ["type": "http", "scheme": "bearer"], &json)
                    scheme("basic", ["type": "http", "scheme": "basic"], &json)
                    scheme("cookie", ["type": "apiKey", "in": "cookie", "name": "SID"], &json)
                }
            }
            json.array("security") { json in
                for name in ["key", "basic", "cookie"] {
                    json.open()
                    json.array(name) { _ in }
                    json.close()
                }
            }
            json.object("paths") { json in
                var paths: [String] = []
                for route in NativeAPI.routes where !paths.contains(route.path) { paths.append(route.path) }
                for path in paths {
                    json.object(path) { json in
                        for route in NativeAPI.routes where route.path == path { json.object(route.method.rawValue.lowercased()) { operation(route, &$0) } }
                    }
                }
            }
        }
    }

    private static func scheme(_ name: String, _ fields: [String: String], _ json: inout JSONBytes) {
        json.object(name) { json in for (key, value) in fields.sorted(by: { $0.key < $1.key }) { json.field(key, value) } }
    }

    private static func operation(_ route: NativeAPI.Route, _ json: inout JSONBytes) {
        json.field("summary", route.summary)
        json.field("description", "Scope: \(route.scope.rawValue).")
        json.field("operationId", "\(route.method.rawValue.lowercased())\(route.path.map { $0.isLetter ? String($0) : "_" }.joined())")
        let variables = route.path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
        json.array("parameters") { json in
            for name in variables { parameter(name, "path", true, name == "hash" ? "of 40 hexadecimal digits, or the 64 of a v2 hash" : "", .text, &json) }
            for (name, type, doc) in route.query { parameter(name, "query", false, doc, type, &json) }
            for (name, type, doc) in route.headers { parameter(name, "header", false, doc, type, &json) }
        }
        if !route.body.isEmpty {
            json.object("requestBody") { json in
                json.field("required", !route.required.isEmpty)
                json.object("content") { json in
                    json.object("application/json") { json in
                        json.object("schema") { json in
                            json.field("type", "object")
                            if let every = route.body.first(where: { $0.name == "*" }) { json.object("additionalProperties") { described(every.type, every.doc, &$0) } }
                            json.object("properties") { json in
                                for (name, type, doc) in route.body where name != "*" { json.object(name) { described(type, doc, &$0) } }
                            }
                            if !route.required.isEmpty { json.field("required", .texts(route.required)) }
                        }
                    }
                }
            }
        }
        json.object("responses") { json in
            json.object("2XX") { $0.field("description", "done") }
            for (code, doc) in route.answers { json.object(code) { $0.field("description", doc) } }
            for (code, doc) in [
                ("400", "a parameter is wrong"), ("401", "not logged in"), ("403", "the key has not the scope"), ("404", "no such thing"), ("409", "the state forbids it"),
                ("413", "the body is too large"),
                ("503", "a worker is away; try again"),
            ] {
                json.object(code) { json in
                    json.field("description", doc)
                    json.object("content") { $0.object("application/json") { $0.object("schema") { $0.field("$ref", "#/components/schemas/Problem") } } }
                }
            }
        }
    }

    private static func described(_ type: Shape, _ doc: String, _ json: inout JSONBytes) {
        type.append(to: &json)
        json.field("description", doc)
    }

    private static func parameter(_ name: String, _ place: String, _ isRequired: Bool, _ doc: String, _ type: Shape, _ json: inout JSONBytes) {
        json.open()
        json.field("name", name)
        json.field("in", place)
        json.field("required", isRequired)
        if !doc.isEmpty { json.field("description", doc) }
        json.object("schema") { type.append(to: &$0) }
        json.close()
    }
}
