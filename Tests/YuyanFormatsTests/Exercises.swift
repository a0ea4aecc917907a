import YuyanFormats

// Each function opens an image and, if that works, reads everything in it: whatever a reader
// accepts must also be safe to use.

/// Whether a GGUF image was accepted.
func survivesGGUF(_ bytes: [UInt8]) -> Bool {
    guard let file = try? GGUFFile(file: MappedFile(bytes: bytes, name: "image")) else {
        return false
    }
    for key in file.keys {
        if case .array(let array)? = file[key] { exercise(array) }
        _ = try? file.double(key)
        _ = try? file.int(key)
    }
    for tensor in file.tensors { checksum(tensor) }
    _ = try? file.tensor("token_embd.weigth")
    return true
}

private func exercise(_ array: GGUFArray) {
    _ = try? array.integers()
    _ = try? array.floats()
    _ = try? array.bools()
    _ = try? array.strings()
    if array.elementType == .string {
        var total = 0
        array.forEachStringBytes { total += $0.byteCount }
        precondition(total <= array.byteRange.count)
    }
    for inner in (try? array.arrays()) ?? [] { exercise(inner) }
}

/// Whether a safetensors image was accepted.
func survivesSafetensors(_ bytes: [UInt8]) -> Bool {
    guard let file = try? SafetensorsFile(file: MappedFile(bytes: bytes, name: "image")) else {
        return false
    }
    for tensor in file.tensors { checksum(tensor) }
    return true
}

private func checksum(_ tensor: TensorEntry) {
    let sum = tensor.withUnsafeBytes { $0.reduce(0) { $0 &+ Int($1) } }
    precondition(
        sum >= 0
            && tensor.elementType.byteCount(elements: tensor.elementCount) == tensor.byteRange.count
    )
}

/// Whether a JSON text was accepted.
func survivesJSON(_ bytes: [UInt8]) -> Bool {
    guard let document = try? JSONDocument(bytes: bytes, name: "image") else { return false }
    precondition(String(validating: bytes, as: UTF8.self) != nil, "accepted what is not UTF-8")
    exercise(document.root)
    return true
}

private func exercise(_ cursor: JSONCursor) {
    _ = (cursor.string, cursor.int, cursor.double, cursor.bool)
    if let elements = cursor.array {
        for element in elements { exercise(element) }
    }
    for (key, value) in cursor.entries ?? [] {
        precondition(cursor[key] != nil)
        exercise(value)
    }
}
