import ArgumentParser

/// A number of bytes as people write it: `512MiB`, `2GiB`, `1.5G`, `4096`.
struct ByteSize: ExpressibleByArgument, Hashable, CustomStringConvertible {
    let bytes: Int

    private static let units: [(name: String, power: Int)] = [
        ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10),
    ]

    init(bytes: Int) { self.bytes = bytes }

    /// Units are powers of 1024, with or without `iB` or `B`, in any case; without one it is bytes.
    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = argument.dropFirst(digits.count).lowercased()
        let powers = [
            "": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20, "g": 30,
            "gb": 30, "gib": 30, "t": 40, "tb": 40, "tib": 40,
        ]
        guard let power = powers[unit], let number = Double(digits) else { return nil }
        let size = (number * Double(1 << power)).rounded(.down)
        guard size >= 1, size < Double(1 << 62), power > 0 || number == number.rounded() else {
            return nil
        }
        bytes = Int(size)
    }

    /// The largest unit that divides it.
    var description: String {
        for (name, power) in Self.units where bytes.isMultiple(of: 1 << power) {
            return "\(bytes >> power)\(name)"
        }
        return "\(bytes)"
    }

    var defaultValueDescription: String { description }
}
