/// The bytes of a text in base 64 (RFC 4648), for goldens only.
package func decodedBase64(_ text: String) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var values = [UInt8: UInt32](minimumCapacity: 64)
    for (value, letter) in alphabet.enumerated() { values[letter] = UInt32(value) }
    var bytes: [UInt8] = []
    var (word, bits): (UInt32, UInt32) = (0, 0)
    for letter in text.utf8 {
        guard let value = values[letter] else { continue }
        word = word << 6 | value
        bits += 6
        if bits >= 8 {
            bits -= 8
            bytes.append(UInt8(truncatingIfNeeded: word >> bits))
        }
    }
    return bytes
}
