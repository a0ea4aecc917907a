import TestSupport
import Testing
import YuyanFormats

private func read(_ image: SafetensorsImage) throws(FormatError) -> SafetensorsFile {
    try SafetensorsFile(file: MappedFile(bytes: image.bytes, name: "image"))
}

private func error(_ image: SafetensorsImage) -> FormatError? {
    do throws(FormatError) {
        _ = try read(image)
        return nil
    } catch {
        return error
    }
}

/// The error for a header over `count` bytes of data.
private func refusal(_ header: String, count: Int = 4) -> FormatError? {
    error(SafetensorsImage(header, data: [UInt8](repeating: 0, count: count)))
}

/// The error for one tensor `t` over four bytes of data.
private func refusal(dtype: String = #""U8""#, shape: String = "[4]", offsets: String = "[0,4]")
    -> FormatError?
{
    refusal(#"{"t":{"dtype":\#(dtype),"shape":\#(shape),"data_offsets":\#(offsets)}}"#)
}

private func isBadValue(_ error: FormatError?, _ key: String) -> Bool {
    guard case .badValue("image", key, _, _)? = error else { return false }
    return true
}

private func isWrongType(_ error: FormatError?, _ key: String) -> Bool {
    guard case .wrongType("image", key, _, _)? = error else { return false }
    return true
}

@Suite("Safetensors files")
struct SafetensorsFileTests {
    @Test("give back tensors in the order of their bytes, and metadata")
    func sample() throws {
        let image = SafetensorsImage.sample
        let file = try read(image)
        #expect(file.tensors.map(\.name) == ["a", "b", "empty"])
        #expect(file.metadata == ["format": "pt"])
        let entry = try file.tensor("b")
        #expect(entry.shape == [2, 2] && entry.elementType == .f32)
        #expect(entry.withUnsafeBytes { Array($0) } == Array(image.data[6...]))
        #expect(try file.tensor("empty").byteRange.isEmpty)
        #expect(
            throws: FormatError.missingTensor(name: "emty", file: "image", nearest: ["empty"])
        ) { try file.tensor("emty") }
    }

    @Test("may be without any tensor")
    func empty() throws {
        #expect(try read(SafetensorsImage("{}", data: [])).tensors.isEmpty)
    }

    @Test("written by the safetensors package hold the same numbers in every type")
    func agreesWithReference() throws {
        let golden = try GoldenFile("formats/kinds.safetensors")
        #expect(golden.metadata == ["名": "雨燕\n"])
        let signed: [Float] = [-2, -1, 0, 1, 2, 3]
        for name in ["F64", "F32", "F16", "BF16"] {
            #expect(try golden.shape(name) == [2, 3])
            expectClose(try golden.floats(name), signed, .exact, name)
        }
        for name in ["I64", "I32", "I16", "I8"] {
            #expect(try golden.ints(name) == [-2, -1, 0, 1, 2, 3], "\(name)")
        }
        for name in ["U32", "U16", "U8"] {
            #expect(try golden.ints(name) == [0, 1, 2, 3, 4, 5], "\(name)")
        }
        #expect(try golden.ints("BOOL") == [0, 1, 1, 1, 1, 1])
        #expect(try golden.bytes("F8_E4M3") == [0xC0, 0xB8, 0, 0x38, 0x40, 0x44])
        #expect(try golden.bytes("F8_E5M2") == [0xC0, 0xBC, 0, 0x3C, 0x40, 0x42])
        #expect(try golden.doubles("F64") == [-2, -1, 0, 1, 2, 3])
        #expect(try golden.shape("scalar").isEmpty && golden.floats("scalar") == [2.5])
        #expect(try golden.shape("empty") == [3, 0] && golden.floats("empty").isEmpty)
        #expect(throws: FormatError.self) { try golden.ints("F32") }
        #expect(throws: FormatError.self) { try golden.floats("I32") }
        #expect(throws: FormatError.self) { try golden.doubles("F32") }
        #expect(throws: FormatError.self) { try golden.floats("nothing") }
        #expect(golden.names.count == 16)
    }

    @Test("with a wrong header are refused")
    func header() {
        var image = SafetensorsImage.sample
        image.claimedLength = 100_000_001
        #expect(isBadValue(error(image), "the header length"))
        image.claimedLength = .max
        #expect(isBadValue(error(image), "the header length"))
        image.claimedLength = 5000
        #expect(
            error(image)
                == .truncated(
                    file: "image", what: "the header", offset: 8, needed: 5000,
                    have: image.bytes.count - 8))
        image.claimedLength = 0
        #expect(
            error(image)
                == .badMagic(file: "image", found: "an empty header", expected: "'{' at byte 8"))
        #expect(
            refusal(" {}") == .badMagic(file: "image", found: "byte 32", expected: "'{' at byte 8"))
        #expect(
            refusal("{} x")
                == .json(
                    file: "image", line: 1, column: 4,
                    what: "something follows the end of the document"))
    }

    @Test("with a wrong description of a tensor are refused")
    func descriptions() {
        #expect(refusal() == nil)
        #expect(isBadValue(refusal(dtype: #""F17""#), "t.dtype"))
        #expect(isWrongType(refusal(dtype: "4"), "t.dtype"))
        #expect(isWrongType(refusal(shape: "4"), "t.shape"))
        for shape in ["[-4]", "[4.0]", "[\"4\"]", "[9223372036854775808]", "[null]"] {
            #expect(isBadValue(refusal(shape: shape), "t.shape"), "\(shape)")
        }
        let ones = [String](repeating: "1", count: 65).joined(separator: ",")
        #expect(isBadValue(refusal(shape: "[4,\(ones)]"), "t.shape"))
        for offsets in ["[0]", "[0,4,4]", "[4,0]", "[0,3]", "[-1,3]", "[0,4.5]"] {
            #expect(isBadValue(refusal(offsets: offsets), "t.data_offsets"), "\(offsets)")
        }
        #expect(
            refusal(offsets: "[9223372036854775803,9223372036854775807]")
                == .truncated(
                    file: "image", what: "tensor 't'", offset: 91 + 4, needed: 4, have: 0)
                || isTruncated(refusal(offsets: "[9223372036854775803,9223372036854775807]")))
        for shape in ["[4294967296,4294967296]", "[0,4294967296,4294967296]"] {
            guard case .overflow("image", _)? = refusal(shape: shape) else {
                Issue.record("\(shape) is not refused as overflowing")
                continue
            }
        }
        #expect(isWrongType(refusal(#"{"t":[]}"#), "t"))
        #expect(
            refusal(#"{"t":{"dtype":"U8","shape":[4]}}"#)
                == .missingKey(key: "t.data_offsets", file: "image", nearest: ["dtype", "shape"]))
        #expect(isWrongType(refusal(#"{"__metadata__":[]}"#), "__metadata__"))
        #expect(isWrongType(refusal(#"{"__metadata__":{"a":1}}"#), "__metadata__.a"))
    }

    private func isTruncated(_ error: FormatError?) -> Bool {
        guard case .truncated("image", "tensor 't'", _, 4, 0)? = error else { return false }
        return true
    }

    @Test("with holes, overlaps, leftovers or doubles are refused")
    func places() {
        func pair(_ first: (Int, Int), _ second: (Int, Int), count: Int) -> FormatError? {
            func tensor(_ name: String, _ range: (Int, Int)) -> String {
                #""\#(name)":{"dtype":"U8","shape":[\#(range.1 - range.0)],"#
                    + #""data_offsets":[\#(range.0),\#(range.1)]}"#
            }
            return refusal("{\(tensor("a", first)),\(tensor("b", second))}", count: count)
        }
        #expect(pair((0, 3), (3, 5), count: 5) == nil)
        #expect(pair((3, 5), (0, 3), count: 5) == nil)
        #expect(
            pair((0, 3), (2, 5), count: 5)
                == .overlappingTensors(file: "image", first: "a", second: "b"))
        #expect(isBadValue(pair((0, 3), (4, 5), count: 5), "b"))
        #expect(isBadValue(pair((1, 3), (3, 5), count: 5), "a"))
        #expect(isBadValue(pair((0, 3), (3, 5), count: 6), "the end of the tensors"))
        let double = #""t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#
        #expect(refusal("{\(double),\(double)}", count: 0) == .duplicate(file: "image", name: "t"))
    }

    @Test("of every shorter length are refused")
    func truncation() {
        let bytes = SafetensorsImage.sample.bytes
        #expect(survivesSafetensors(bytes))
        for length in bytes.indices { #expect(!survivesSafetensors(Array(bytes[..<length]))) }
    }

    @Test("with any byte changed are refused or read, never a crash")
    func everyByte() {
        let bytes = SafetensorsImage.sample.bytes
        for place in bytes.indices {
            for value in UInt8.min ... .max {
                var image = bytes
                image[place] = value
                _ = survivesSafetensors(image)
            }
        }
        var mutations = Mutations(of: bytes, seed: 2)
        let survivors = (0..<3000).count { _ in survivesSafetensors(mutations.next()) }
        #expect((1..<3000).contains(survivors))
    }
}
