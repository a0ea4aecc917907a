/// Damages valid files in the ways that break careless readers.
///
/// The same seed gives the same sequence of images.
package struct Mutations: Sendable {
    package let original: [UInt8]
    private var random: SeededGenerator

    package init(of original: [UInt8], seed: UInt64) {
        precondition(!original.isEmpty, "nothing to damage")
        self.original = original
        random = SeededGenerator(seed: seed)
    }

    /// The original with one to four kinds of damage.
    package mutating func next() -> [UInt8] {
        var image = original
        for _ in 0..<Int.random(in: 1...4, using: &random) where !image.isEmpty {
            damage(&image)
        }
        return image
    }

    private mutating func damage(_ image: inout [UInt8]) {
        let place = Int.random(in: image.indices, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            image.removeSubrange(place...)
        case 1:
            image[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2:
            image[place] = UInt8.random(in: .min ... .max, using: &random)
        case 3:
            image[place] = Self.telling[Int.random(in: Self.telling.indices, using: &random)]
        case 4:
            splice(&image, at: place)
        case 5:
            let end = min(image.count, place + Int.random(in: 1...16, using: &random))
            image.removeSubrange(place..<end)
        case 6:
            boost(&image, at: place, width: 8)
        default:
            boost(&image, at: place, width: 4)
        }
    }

    /// Bytes with a meaning in the formats, or at the edges of their classes.
    private static let telling: [UInt8] =
        [0, 1, 7, 8, 9, 0x0A, 0x1F, 0x7F, 0x80, 0xBF, 0xC0, 0xE0, 0xED, 0xF4, 0xFF]
        + Array("\"\\{}[],:-+.eEu0 ".utf8)

    /// Copies a piece of the original over or into another place.
    private mutating func splice(_ image: inout [UInt8], at place: Int) {
        let start = Int.random(in: original.indices, using: &random)
        let length = Int.random(in: 1...64, using: &random)
        let piece = original[start..<min(original.count, start + length)]
        let replaced = Bool.random(using: &random) ? min(piece.count, image.count - place) : 0
        image.replaceSubrange(place..<place + replaced, with: piece)
    }

    /// Overwrites what may be a little-endian integer by one near a limit.
    private mutating func boost(_ image: inout [UInt8], at place: Int, width: Int) {
        let limits: [UInt64] = [
            0, 1, .max, .max - 1, 1 << 63, 1 << 63 - 1, 1 << 62, 1 << 61, 1 << 32, 1 << 32 - 1,
            1 << 31, 1 << 31 - 1, UInt64(image.count), UInt64(image.count - place),
        ]
        let value = limits[Int.random(in: limits.indices, using: &random)]
        for index in 0..<min(width, image.count - place) {
            image[place + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
        }
    }
}
