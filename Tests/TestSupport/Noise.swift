/// The absent inputs of `Tests/Goldens`: see the recipe in `Tools/goldens/ops.py`.
package func noise(_ seed: UInt32, _ count: Int) -> [Float] {
    (0..<UInt32(count)).map { index in
        var h = index &* 0x9E37_79B9 &+ seed &* 0x85EB_CA6B
        h ^= h >> 16
        h = h &* 0x85EB_CA6B
        h ^= h >> 13
        h = h &* 0xC2B2_AE35
        h ^= h >> 16
        return Float(h >> 8) * 0x1p-23 - 1
    }
}
