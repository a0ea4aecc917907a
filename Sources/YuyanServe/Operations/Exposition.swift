/// Writes metrics in Prometheus' text format, version 0.0.4.
///
/// The format: https://prometheus.io/docs/instrumenting/exposition_formats.
struct Exposition {
    typealias Labels = [(name: String, value: String)]

    /// The word that follows the name in a `TYPE` line.
    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    private(set) var text = ""
    /// Labels of every sample.
    let common: Labels

    /// A family of one sample.
    mutating func write(
        _ kind: Kind, _ name: String, _ help: String, _ value: Double, _ labels: Labels = []
    ) {
        family(kind, name, help)
        sample(name, labels, value)
    }

    /// A family of one sample that counts.
    mutating func write(
        _ kind: Kind, _ name: String, _ help: String, _ value: Int, _ labels: Labels = []
    ) {
        write(kind, name, help, Double(value), labels)
    }

    /// A family of one histogram.
    mutating func write(_ name: String, _ help: String, _ histogram: Histogram) {
        family(.histogram, name, help)
        var total = 0
        for (bound, count) in zip(histogram.bounds, histogram.counts) {
            total += count
            sample(name + "_bucket", [("le", Self.number(bound))], Double(total))
        }
        sample(name + "_bucket", [("le", "+Inf")], Double(histogram.count))
        sample(name + "_sum", [], histogram.sum)
        sample(name + "_count", [], Double(histogram.count))
    }

    /// The lines that begin a family; its samples follow at once.
    mutating func family(_ kind: Kind, _ name: String, _ help: String) {
        text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n"
        text += "# TYPE \(name) \(kind.rawValue)\n"
    }

    /// One value.
    mutating func sample(_ name: String, _ labels: Labels, _ value: Double) {
        text += name
        let all = common + labels
        if !all.isEmpty {
            text += "{"
            for (index, label) in all.enumerated() {
                if index > 0 { text += "," }
                text += "\(label.name)=\"\(Self.escaped(label.value, quotes: true))\""
            }
            text += "}"
        }
        text += " \(Self.number(value))\n"
    }

    /// Whole numbers without a fraction, so that counters read as what they are.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if let whole = Int(exactly: value), whole.magnitude < 1 << 53 { return "\(whole)" }
        return "\(value)"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
