import TestSupport
import Testing
import YuyanFormats

private func error(_ bytes: [UInt8]) -> FormatError? {
    do throws(FormatError) {
        _ = try GGUFFile(file: MappedFile(bytes: bytes, name: "image"))
        return nil
    } catch {
        return error
    }
}

/// The error for the sample after one change.
private func refusal(_ change: (inout GGUFImage) -> Void) -> FormatError? {
    var image = GGUFImage.sample()
    change(&image)
    return error(image.bytes)
}

private func isTruncated(_ error: FormatError?, _ what: String) -> Bool {
    guard case .truncated("image", what, _, _, _)? = error else { return false }
    return true
}

private func isBadValue(_ error: FormatError?, _ key: String) -> Bool {
    guard case .badValue("image", key, _, _)? = error else { return false }
    return true
}

@Suite("Damaged GGUF files are refused with a reason")
struct GGUFRefusalTests {
    @Test("a wrong magic or version")
    func header() {
        #expect(
            refusal { $0.magic = Array("GGML".utf8) }
                == .badMagic(file: "image", found: "0x4c4d4747", expected: "'GGUF'"))
        for version in [0, 1, 4, .max] as [UInt32] {
            #expect(
                refusal { $0.version = version }
                    == .unsupportedVersion(
                        file: "image", found: "version \(version)",
                        supported: "little-endian versions 2 and 3"))
        }
        #expect(
            refusal { $0.version = UInt32(3).byteSwapped }
                == .unsupportedVersion(
                    file: "image", found: "big-endian version 3",
                    supported: "little-endian versions 2 and 3"))
    }

    @Test(
        "counts and lengths beyond the end",
        arguments: [1 << 20, 1 << 40, 1 << 63, .max] as [UInt64])
    func counts(_ count: UInt64) {
        #expect(isTruncated(refusal { $0.claimedTensorCount = count }, "the tensor infos"))
        #expect(isTruncated(refusal { $0.claimedKeyCount = count }, "the metadata"))
        #expect(
            isTruncated(
                refusal { $0.key("x", .array, GGUFImage.array(.uint8, count: count, [])) },
                "an array"))
        #expect(
            isTruncated(
                refusal { $0.key("x", .array, GGUFImage.array(.array, count: count, [])) },
                "an array"))
        #expect(isTruncated(refusal { $0.key("x", .string, little(count)) }, "a string"))
    }

    @Test("values that their types do not have")
    func values() {
        #expect(isBadValue(refusal { $0.key("x", .bool, [2]) }, "x"))
        #expect(
            isBadValue(
                refusal { $0.key("x", .array, GGUFImage.array(.bool, count: 2, [1, 3])) }, "x"))
        #expect(isBadValue(refusal { $0.key(Array("x".utf8), type: 13, value: [0]) }, "x"))
        #expect(isBadValue(refusal { $0.key("x", .string, GGUFImage.string([0xFF])) }, "x"))
        #expect(isBadValue(refusal { $0.key([0xC0, 0x80], type: 0, value: [0]) }, keyPlace))
        #expect(isBadValue(refusal { $0.key([], type: 4, value: little(UInt32(0))) }, keyPlace))
        let long = [UInt8](repeating: 0x61, count: 65536)
        #expect(isBadValue(refusal { $0.key(long, type: 0, value: [0]) }, keyPlace))
        #expect(
            refusal { $0.key("k.bool", .bool, [1]) } == .duplicate(file: "image", name: "k.bool"))
    }

    private var keyPlace: String {
        let image = GGUFImage.sample()
        // Tensor infos: three names with their lengths, 4 + 4 + 8 bytes and 8 per dimension each.
        let infos = [("token_embd.weight", 2), ("blk.0.ffn.weight", 2), ("output_norm.weight", 1)]
            .reduce(0) { $0 + 8 + $1.0.utf8.count + 16 + 8 * $1.1 }
        var unpadded = image
        unpadded.alignment = 1
        return "a metadata key at byte \(unpadded.bytes.count - image.data.count - infos)"
    }

    @Test("arrays in arrays without end")
    func depth() {
        func nested(_ depth: Int) -> [UInt8] {
            let inner = GGUFImage.array(.uint8, count: 1, [7])
            return (1..<depth).reduce(inner) { value, _ in
                GGUFImage.array(.array, count: 1, value)
            }
        }
        #expect(refusal { $0.key("x", .array, nested(8)) } == nil)
        #expect(isBadValue(refusal { $0.key("x", .array, nested(9)) }, "x"))
        #expect(isBadValue(refusal { $0.key("x", .array, nested(100_000)) }, "x"))
    }

    @Test("alignments that are no small power of two")
    func alignments() {
        func alignment(_ type: GGUFValueType, _ value: [UInt8]) -> FormatError? {
            var image = GGUFImage()
            image.key("general.alignment", type, value)
            return error(image.bytes)
        }
        for bad in [0, 3, 33, 1 << 21, .max] as [UInt32] {
            #expect(isBadValue(alignment(.uint32, little(bad)), "general.alignment"))
        }
        #expect(
            alignment(.uint64, little(UInt64(32)))
                == .wrongType(
                    file: "image", key: "general.alignment", found: "an unsigned integer",
                    expected: "a uint32"))
        #expect(alignment(.uint32, little(UInt32(64))) == nil)
    }

    @Test("tensors with wrong shapes, types, places or names")
    func tensors() {
        let name = Array("t".utf8)
        func tensor(
            _ sizes: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, rank: UInt32? = nil
        ) -> FormatError? {
            var image = GGUFImage()
            image.tensor(name, sizes, type: type, offset: offset, rank: rank)
            image.data = [UInt8](repeating: 0, count: 64)
            return error(image.bytes)
        }
        #expect(tensor([16]) == nil)
        #expect(tensor([0, 5]) == nil)
        #expect(tensor([8], offset: 32) == nil)
        #expect(isBadValue(tensor([], rank: 0), "t"))
        #expect(isBadValue(tensor([1, 1, 1, 1, 1]), "t"))
        #expect(isBadValue(tensor([1], rank: .max), "t"))
        for type in [4, 5, 31, 36, 42, .max] as [UInt32] {
            #expect(isBadValue(tensor([1], type: type), "t"))
        }
        #expect(isBadValue(tensor([16, 2], type: 8), "t"))
        #expect(isBadValue(tensor([1], offset: 16), "t"))
        #expect(isBadValue(tensor([1], offset: .max), "t"))
        #expect(isTruncated(tensor([17]), "tensor 't'"))
        #expect(isTruncated(tensor([16], offset: 32), "tensor 't'"))
        #expect(isTruncated(tensor([1], offset: 64), "tensor 't'"))
        #expect(isTruncated(tensor([1], offset: 1 << 63), "tensor 't'"))
        #expect(isTruncated(tensor([1 << 40]), "tensor 't'"))
        for sizes: [UInt64] in [[1 << 32, 1 << 32], [.max], [0, 1 << 32, 1 << 32], [1 << 62]] {
            guard case .overflow("image", _)? = tensor(sizes) else {
                Issue.record("\(sizes) is not refused as overflowing")
                continue
            }
        }
        #expect(
            refusal { $0.tensor("token_embd.weight", [1], offset: 0) }
                == .duplicate(file: "image", name: "token_embd.weight"))
    }

    @Test("tensors that share bytes, however they are ordered")
    func overlaps() {
        func pair(_ first: UInt64, _ second: UInt64) -> FormatError? {
            var image = GGUFImage()
            image.tensor("a", [9], offset: first)
            image.tensor("b", [8], offset: second)
            image.data = [UInt8](repeating: 0, count: 256)
            return error(image.bytes)
        }
        #expect(pair(0, 64) == nil)
        #expect(pair(32, 0) == nil)
        #expect(pair(0, 32) == .overlappingTensors(file: "image", first: "a", second: "b"))
        #expect(pair(64, 64) != nil)
    }

    @Test("every length shorter than the whole")
    func truncation() {
        let bytes = GGUFImage.sample().bytes
        #expect(error(bytes) == nil)
        for length in 0..<bytes.count {
            #expect(error(Array(bytes[..<length])) != nil, "\(length)")
        }
    }

    @Test("every byte may change to anything without a crash")
    func everyByte() throws {
        let bytes = GGUFImage.sample().bytes
        var refused = 0
        for place in bytes.indices {
            for value in [0, 1, 0x7F, 0x80, 0xFF, bytes[place] ^ 1, bytes[place] &+ 1] as [UInt8] {
                var image = bytes
                image[place] = value
                if !survivesGGUF(image) { refused += 1 }
            }
        }
        #expect(refused > bytes.count)
    }

    @Test("seeded damage of all kinds never crashes")
    func mutations() {
        var mutations = Mutations(of: GGUFImage.sample().bytes, seed: 1)
        let survivors = (0..<3000).count { _ in survivesGGUF(mutations.next()) }
        #expect((1..<3000).contains(survivors))
    }
}
