import TestSupport
import Testing
import YuyanFormats

@Suite("Writing GGUF")
struct GGUFWriterTests {
    private let folder = TemporaryFolder()

    private func read(_ image: GGUFImage) throws -> GGUFFile {
        try GGUFFile(file: MappedFile(bytes: image.bytes, name: "image"))
    }

    @Test("a file with every type of value comes back byte by byte", arguments: [32, 64])
    func roundTrip(_ alignment: Int) throws {
        let original = try read(GGUFImage.sample())
        var writer = GGUFWriter(alignment: alignment)
        for key in original.keys where key != "general.alignment" {
            writer[key] = original.output(of: key)
        }
        let path = folder.path + "/copy.gguf"
        try writer.write(original.tensors.map { TensorSource(copying: $0) }, to: path)
        let copy = try GGUFFile(path: path)
        #expect(copy.alignment == alignment && copy.version == 3)
        #expect(
            copy.keys.filter { $0 != "general.alignment" }
                == original.keys.filter { $0 != "general.alignment" })
        for key in original.keys where key != "general.alignment" {
            #expect(copy.output(of: key) == original.output(of: key), "\(key)")
        }
        #expect(copy.tensors.map(\.name) == original.tensors.map(\.name))
        for (one, other) in zip(copy.tensors, original.tensors) {
            #expect(one.shape == other.shape && one.elementType == other.elementType)
            #expect(one.withUnsafeBytes { Array($0) } == other.withUnsafeBytes { Array($0) })
            #expect(one.byteRange.lowerBound.isMultiple(of: alignment))
        }
    }

    @Test("values are those that were given")
    func values() throws {
        var writer = GGUFWriter(metadata: [("general.architecture", .string("llama"))])
        writer["a"] = .uint32(7)
        writer["b"] = .int32(-7)
        writer["c"] = .uint64(.max)
        writer["d"] = .float32(0.5)
        writer["e"] = .bool(true)
        writer["f"] = .strings(["雨", "", "燕"])
        writer["g"] = .strings(bytes: [[0xFF], [0x61]])
        writer["h"] = .int32s([1, -1])
        writer["i"] = .float32s([0.25, -2])
        writer["gone"] = .bool(false)
        writer["gone"] = nil
        writer["a"] = .uint32(8)
        let path = folder.path + "/values.gguf"
        try writer.write([], to: path)
        let file = try GGUFFile(path: path)
        #expect(file.keys == ["general.architecture", "a", "b", "c", "d", "e", "f", "g", "h", "i"])
        #expect(try file.int("a") == 8 && file.int("b") == -7 && file.double("d") == 0.5)
        #expect(try file.bool("e") && file.array("f").strings() == ["雨", "", "燕"])
        #expect(throws: FormatError.self) { try file.array("g").strings() }
        #expect(try file.array("h").integers() == [1, -1])
        #expect(try file.array("i").floats() == [0.25, -2])
        #expect(throws: FormatError.overflow(file: path, what: "'c'")) { try file.int("c") }
    }

    @Test("what the format does not allow is refused, and nothing is written")
    func refusals() throws {
        let path = folder.path + "/no.gguf"
        func tensor(_ name: String, _ type: ElementType = .f32, _ shape: [Int] = [1])
            -> TensorSource
        {
            TensorSource(name: name, elementType: type, shape: shape) { _ in
                Issue.record("'\(name)' was written")
            }
        }
        let wrong = [
            [tensor("a"), tensor("a")], [tensor("u", .u8)], [tensor("s", .f32, [])],
            [tensor("r", .f32, [1, 1, 1, 1, 1])], [tensor("")],
            [tensor(String(repeating: "n", count: 1025))],
        ]
        for tensors in wrong {
            #expect(throws: FormatError.self, "\(tensors.map(\.name))") {
                try GGUFWriter().write(tensors, to: path)
            }
        }
        var writer = GGUFWriter(metadata: [("a", .bool(true)), ("a", .bool(true))])
        #expect(throws: FormatError.duplicate(file: path, name: "a")) {
            try writer.write([], to: path)
        }
        writer.metadata = [("", .bool(true))]
        #expect(throws: FormatError.self) { try writer.write([], to: path) }
        #expect(folder.names.isEmpty)
    }
}
