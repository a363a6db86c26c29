import Foundation

/// What a parameter or a member of a body may be: the OpenAPI document says it and the server checks it, from one place.
package indirect enum Shape: Sendable, ExpressibleByStringLiteral {
    case text, flag
    /// Whole, and exact in every decoder: below 2^53.
    case integer
    /// Unicode scalars.
    case length(ClosedRange<Int>)
    case choice([String])
    case from(Int)
    case list(Shape)
    /// Of at least one.
    case some(Shape)
    /// An absolute path.
    case path
    /// Letters, digits, space, `_`, `.` and `-`, 64 of them, the first a letter or digit: it stands in addresses.
    case name
    /// The number of a file, or a range of numbers: 3 or 4-7.
    case files
    /// A text, a number, a truth value or null.
    case scalar

    /// JSON's own words.
    package init(stringLiteral value: String) {
        switch value {
        case "boolean": self = .flag
        case "integer": self = .integer
        case "array": self = .list(.text)
        default: self = .text
        }
    }

    /// A value of a body.
    package func admits(_ value: Any) -> Bool {
        switch self {
        case .text: value is String
        case .flag: Self.isFlag(value)
        case .integer: Self.integer(value) != nil
        case .from(let low): Self.integer(value).map { $0 >= low } ?? false
        case .list(let shape): (value as? [Any])?.allSatisfy { shape.admits($0) } ?? false
        case .some(let shape): (value as? [Any]).map { !$0.isEmpty && $0.allSatisfy { shape.admits($0) } } ?? false
        case .scalar: value is String || value is NSNumber || value is NSNull
        case .length, .choice, .path, .name, .files: (value as? String).map { admits(text: $0) } ?? false
        }
    }

    /// A value of a query, which is a text whatever it stands for.
    package func admits(text: String) -> Bool {
        switch self {
        case .text, .scalar: true
        case .flag: ["true", "false"].contains(text)
        case .integer: Int64(text).map { abs($0) <= Self.limit } ?? false
        case .from(let low): Int64(text).map { $0 >= low && $0 <= Self.limit } ?? false
        case .length(let range): range.contains(text.unicodeScalars.count)
        case .choice(let words): words.contains(text)
        case .list(let shape), .some(let shape): text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { shape.admits(text: String($0)) }
        case .path: text.hasPrefix("/")
        case .name: Self.isName(text)
        case .files: Self.isFileRange(text)
        }
    }

    static let limit: Int64 = (1 << 53) - 1

    private static func isFlag(_ value: Any) -> Bool { (value as? NSNumber).map { ["c", "B"].contains(String(cString: $0.objCType)) } ?? false }
    /// 1.0 is one too; true is none.
    private static func integer(_ value: Any) -> Int64? {
        guard !isFlag(value), let n = value as? NSNumber, n.doubleValue == n.doubleValue.rounded(), abs(n.doubleValue) <= Double(limit) else { return nil }
        return n.int64Value
    }
    private static func isName(_ text: String) -> Bool {
        func plain(_ c: UInt8) -> Bool { (c | 0x20 >= 0x61 && c | 0x20 <= 0x7A) || (0x30...0x39).contains(c) }
        let bytes = Array(text.utf8)
        return (1...64).contains(bytes.count) && plain(bytes[0]) && bytes.allSatisfy { plain($0) || [0x20, 0x5F, 0x2E, 0x2D].contains($0) }
    }

    private static func isFileRange(_ text: String) -> Bool {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        return ends.count <= 2 && ends.allSatisfy { (1...9).contains($0.utf8.count) && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    }

    /// The members of its schema.
    func append(to json: inout JSONBytes) {
        switch self {
        case .text: json.field("type", "string")
        case .flag: json.field("type", "boolean")
        case .integer:
            json.field("type", "integer")
            json.field("minimum", -Self.limit)
            json.field("maximum", Self.limit)
        case .from(let low):
            json.field("type", "integer")
            json.field("minimum", low)
            json.field("maximum", Self.limit)
        case .length(let range):
            json.field("type", "string")
            json.field("minLength", range.lowerBound)
            json.field("maxLength", range.upperBound)
        case .choice(let words):
            json.field("type", "string")
            json.field("enum", .texts(words))
        case .list(let shape), .some(let shape):
            json.field("type", "array")
            if case .some = self { json.field("minItems", 1) }
            json.object("items") { shape.append(to: &$0) }
        case .path:
            json.field("type", "string")
            json.field("pattern", "^/")
        case .name:
            json.field("type", "string")
            json.field("pattern", "^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$")
        case .files:
            json.field("type", "string")
            json.field("pattern", "^[0-9]{1,9}(-[0-9]{1,9})?$")
        case .scalar:
            json.array("oneOf") { json in
                for type in ["string", "number", "boolean"] {
                    json.open()
                    json.field("type", type)
                    if type == "string" { json.field("nullable", true) }
                    json.close()
                }
            }
        }
    }
}
