import TestSupport
import Testing
import YuyanFormats

private func read(_ image: GGUFImage) throws -> GGUFFile {
    try GGUFFile(file: MappedFile(bytes: image.bytes, name: "image"))
}

@Suite("GGUF files")
struct GGUFFileTests {
    @Test("of versions 2 and 3 give back every value", arguments: [2, 3] as [UInt32])
    func values(_ version: UInt32) throws {
        let file = try read(.sample(version: version))
        #expect(file.version == version)
        #expect(file.alignment == 32)
        #expect(file.keys.prefix(3) == ["general.architecture", "general.alignment", "k.uint8"])
        #expect(file.keys.count == 17)
        #expect(try file.string("general.architecture") == "llama")
        #expect(try file.int("k.uint8") == 200)
        #expect(try file.int("k.int8") == -2)
        #expect(try file.int("k.uint16") == 60000)
        #expect(try file.int("k.int16") == -2)
        #expect(try file.int("k.int32") == -3)
        #expect(try file.int("k.int64") == .min)
        #expect(try file.double("k.float32") == 1.5)
        #expect(try file.double("k.float64") == 0.1)
        #expect(try file.double("k.int16") == -2)
        #expect(try file.bool("k.bool"))
        #expect(throws: FormatError.overflow(file: "image", what: "'k.uint64'")) {
            try file.int("k.uint64")
        }
        guard case .unsigned(.max) = file["k.uint64"] else {
            Issue.record("k.uint64 lost bits")
            return
        }
        #expect(file["absent"] == nil)
    }

    @Test("give back arrays, whose strings need not be UTF-8")
    func arrays() throws {
        let file = try read(.sample())
        var pieces: [[UInt8]] = []
        try file.array("k.strings", of: .string).forEachStringBytes { bytes in
            pieces.append(bytes.withUnsafeBytes { Array($0) })
        }
        #expect(pieces == [[0x61], [], [0xFF, 0xC4], [0xC4, 0xA0, 0x74, 0x68, 0x65]])
        #expect(
            throws: FormatError.badValue(
                file: "image", key: "k.strings[2]", found: "not UTF-8",
                expected: "text; read it with forEachStringBytes")
        ) { try file.array("k.strings").strings() }
        #expect(try file.array("k.int32s").integers() == [7, -7])
        #expect(try file.array("k.floats").floats() == [0.25])
        #expect(try file.array("k.bools").bools() == [true, false, true])
        let inner = try file.array("k.arrays").arrays()
        #expect(try inner.map(\.count) == [2, 1] && inner[0].integers() == [5, 6])
        #expect(try inner[1].strings() == ["x"])
        #expect(throws: FormatError.self) { try file.array("k.floats").integers() }
        #expect(throws: FormatError.self) { try file.array("k.int32s").floats() }
        #expect(throws: FormatError.self) { try file.array("k.int32s").bools() }
        #expect(throws: FormatError.self) { try file.array("k.int32s").arrays() }
    }

    @Test("turn shapes around and place tensors inside the file")
    func tensors() throws {
        let image = GGUFImage.sample()
        let file = try read(image)
        let start = image.bytes.count - image.data.count
        #expect(
            file.tensors.map(\.name) == [
                "token_embd.weight", "blk.0.ffn.weight", "output_norm.weight",
            ])
        let entry = try file.tensor("token_embd.weight")
        #expect(entry.shape == [3, 4] && entry.elementCount == 12 && entry.elementType == .f32)
        #expect(entry.byteRange == start..<start + 48)
        #expect(entry.withUnsafeBytes { Array($0) } == Array(image.data[..<48]))
        let quantised = try file.tensor("blk.0.ffn.weight")
        #expect(quantised.shape == [2, 32] && quantised.elementType == .q8_0)
        #expect(quantised.byteRange == start + 64..<start + 132)
    }

    @Test("name what is nearest to a missing key or tensor, and the type of a wrong one")
    func getters() throws {
        let file = try read(.sample())
        #expect {
            try file.string("general.architectur")
        } throws: { error in
            guard
                case .missingKey("general.architectur", "image", let nearest)? =
                    error as? FormatError
            else { return false }
            return nearest.first == "general.architecture"
        }
        #expect {
            try file.tensor("output_norm.weigth")
        } throws: { error in
            guard
                case .missingTensor("output_norm.weigth", "image", let nearest)? = error
                    as? FormatError
            else { return false }
            return nearest.first == "output_norm.weight"
        }
        #expect(
            throws: FormatError.wrongType(
                file: "image", key: "k.bool", found: "a bool", expected: "an integer")
        ) { try file.int("k.bool") }
        #expect(
            throws: FormatError.wrongType(
                file: "image", key: "k.int32s", found: "an array of int32",
                expected: "an array of string")
        ) { try file.array("k.int32s", of: .string) }
        #expect(throws: FormatError.self) { try file.string("k.int8") }
        #expect(throws: FormatError.self) { try file.double("k.bool") }
        #expect(throws: FormatError.self) { try file.bool("k.uint8") }
        #expect(throws: FormatError.self) { try file.optionalInt("general.architecture") }
        #expect(try file.optionalInt("absent") == nil && file.optionalString("absent") == nil)
        #expect(try file.optionalBool("absent") == nil && file.optionalDouble("absent") == nil)
        #expect(try file.optionalArray("absent") == nil)
    }

    @Test("written by the gguf package are read as its own reader reads them")
    func agreesWithReference() throws {
        let file = try GGUFFile(path: Goldens.path("formats/tiny-gguf.bin"))
        let golden = try JSONDocument(path: Goldens.path("formats/tiny-gguf.json")).root
        #expect(try file.string("general.name") == "tiny")
        #expect(try file.int("llama.block_count") == 2)
        #expect(try file.double("llama.attention.layer_norm_rms_epsilon") == Double(Float(1e-5)))
        #expect(try file.bool("tokenizer.ggml.add_bos_token") == false)
        #expect(try file.int("test.negative") == -1 << 40 && file.double("test.tenth") == 0.1)
        #expect(try file.array("test.words").strings() == ["eins", "zwei", "雨燕"])
        let scores = try file.array("tokenizer.ggml.scores").floats()
        #expect(scores == [0, -1.5, 2.25, Double(Float(1e-8))])
        #expect(try file.array("tokenizer.ggml.token_type").integers() == [1, 6, 1, 3])
        var tokens: [[UInt8]] = []
        try file.array("tokenizer.ggml.tokens").forEachStringBytes { bytes in
            tokens.append(bytes.withUnsafeBytes { Array($0) })
        }
        #expect(tokens == [[0x61], [0xFF, 0xC4], Array("Ġthe".utf8), []])
        let rows = try golden.array("tensors")
        #expect(rows.count == file.tensors.count)
        for (row, tensor) in zip(rows, file.tensors) {
            #expect(tensor.name == (try row.string("name")))
            #expect(tensor.elementType.name == (try row.string("type")))
            #expect(tensor.shape == (try row.array("shape").compactMap(\.int)))
            #expect(tensor.byteRange.lowerBound == (try row.int("offset")))
            #expect(tensor.byteRange.count == (try row.int("bytes")))
        }
        let integers = try file.tensor("int32").withUnsafeBytes { Array($0) }
        #expect(integers == (-3..<4).flatMap { little(Int32($0)) })
    }
}
