import YuyanFormats

/// An amount of memory as people write it: `512MB`, `2 GiB`, `1000000`.
struct ByteCount: RecipeValue {
    let bytes: Int

    init(_ bytes: Int) { self.bytes = bytes }

    static var expectation: String { "an amount of memory of 1 MB or more, such as 512MB or 2GiB" }

    init?(_ node: YAMLNode) {
        guard let text = String(node)?.lowercased().filter({ $0 != " " }) else { return nil }
        let units = [
            "": 1, "b": 1, "k": 1 << 10, "kb": 1000, "kib": 1 << 10, "m": 1 << 20,
            "mb": 1_000_000, "mib": 1 << 20, "g": 1 << 30, "gb": 1_000_000_000, "gib": 1 << 30,
        ]
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let unit = units[String(text.dropFirst(digits.count))], let number = Int(digits),
            case let (bytes, overflow) = number.multipliedReportingOverflow(by: unit), !overflow,
            bytes >= 1_000_000
        else { return nil }
        self.bytes = bytes
    }

    var node: YAMLNode { .scalar("\(bytes)", isQuoted: false, line: 0) }
}
